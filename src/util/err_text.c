/* util/err_text.c - the fixed words of each error code
 *
 * Owns:    the table; clients match on these words, so they are wire facts and never change
 * Threads: any; constant
 * Locks:   none
 * Errors:  none
 *
 * Four shapes: COLON "words: detail", SPACE "words detail", BARE the detail alone (words only without one), PHRASE two wordings.
 */
#include <assert.h>

#include "util/err.h"

typedef struct CodeText {
    const char *alone;  /* there is no detail */
    const char *detail; /* with %s where the detail goes */
} CodeText;

#define COLON(code, words) [code] = {words, words ": %s"},
#define SPACE(code, words) [code] = {words, words " %s"},
#define BARE(code, words) [code] = {words, "%s"},
#define PHRASE(code, alone, detail) [code] = {alone, detail},

static const CodeText texts[] = {
    COLON(VIR_ERR_INTERNAL_ERROR, "internal error")
    COLON(VIR_ERR_NO_MEMORY, "out of memory")
    COLON(VIR_ERR_NO_SUPPORT, "this function is not supported by the connection driver")
    SPACE(VIR_ERR_UNKNOWN_HOST, "unknown host")
    PHRASE(VIR_ERR_NO_CONNECT, "no connection driver available", "no connection driver available for %s")
    SPACE(VIR_ERR_INVALID_CONN, "invalid connection pointer in")
    SPACE(VIR_ERR_INVALID_DOMAIN, "invalid domain pointer in")
    COLON(VIR_ERR_INVALID_ARG, "invalid argument")
    COLON(VIR_ERR_OPERATION_FAILED, "operation failed")
    COLON(VIR_ERR_GET_FAILED, "GET operation failed")
    COLON(VIR_ERR_POST_FAILED, "POST operation failed")
    SPACE(VIR_ERR_HTTP_ERROR, "got unknown HTTP error code")
    COLON(VIR_ERR_SEXPR_SERIAL, "failed to serialize S-Expr")
    SPACE(VIR_ERR_NO_XEN, "could not use Xen hypervisor entry")
    SPACE(VIR_ERR_XEN_CALL, "failed Xen syscall")
    SPACE(VIR_ERR_OS_TYPE, "unknown OS type")
    COLON(VIR_ERR_NO_KERNEL, "missing kernel information")
    PHRASE(VIR_ERR_NO_ROOT, "missing root device information", "missing root device information in %s")
    SPACE(VIR_ERR_NO_SOURCE, "missing source information for device")
    SPACE(VIR_ERR_NO_TARGET, "missing target information for device")
    PHRASE(VIR_ERR_NO_NAME, "missing name information", "missing name information in %s")
    PHRASE(VIR_ERR_NO_OS, "missing operating system information", "missing operating system information for %s")
    PHRASE(VIR_ERR_NO_DEVICE, "missing devices information", "missing devices information for %s")
    SPACE(VIR_ERR_NO_XENSTORE, "could not connect to Xen Store")
    PHRASE(VIR_ERR_DRIVER_FULL, "too many drivers registered", "too many drivers registered in %s")
    COLON(VIR_ERR_CALL_FAILED, "library call failed")
    PHRASE(VIR_ERR_XML_ERROR, "XML description is invalid or not well formed", "XML error: %s")
    PHRASE(VIR_ERR_DOM_EXIST, "this domain exists already", "domain %s exists already")
    PHRASE(VIR_ERR_OPERATION_DENIED, "operation forbidden for read only access", "operation forbidden: %s")
    SPACE(VIR_ERR_OPEN_FAILED, "failed to open configuration file")
    SPACE(VIR_ERR_READ_FAILED, "failed to read configuration file")
    SPACE(VIR_ERR_PARSE_FAILED, "failed to parse configuration file")
    COLON(VIR_ERR_CONF_SYNTAX, "configuration file syntax error")
    COLON(VIR_ERR_WRITE_FAILED, "failed to write configuration file")
    BARE(VIR_ERR_XML_DETAIL, "parser error")
    SPACE(VIR_ERR_INVALID_NETWORK, "invalid network pointer in")
    PHRASE(VIR_ERR_NETWORK_EXIST, "this network exists already", "network %s exists already")
    BARE(VIR_ERR_SYSTEM_ERROR, "system call error")
    BARE(VIR_ERR_RPC, "RPC error")
    BARE(VIR_ERR_GNUTLS_ERROR, "GNUTLS call error")
    COLON(VIR_WAR_NO_NETWORK, "Failed to find the network")
    COLON(VIR_ERR_NO_DOMAIN, "Domain not found")
    COLON(VIR_ERR_NO_NETWORK, "Network not found")
    COLON(VIR_ERR_INVALID_MAC, "invalid MAC address")
    COLON(VIR_ERR_AUTH_FAILED, "authentication failed")
    SPACE(VIR_ERR_INVALID_STORAGE_POOL, "invalid storage pool pointer in")
    SPACE(VIR_ERR_INVALID_STORAGE_VOL, "invalid storage volume pointer in")
    COLON(VIR_WAR_NO_STORAGE, "Failed to find a storage driver")
    COLON(VIR_ERR_NO_STORAGE_POOL, "Storage pool not found")
    COLON(VIR_ERR_NO_STORAGE_VOL, "Storage volume not found")
    COLON(VIR_WAR_NO_NODE, "Failed to find a node driver")
    PHRASE(VIR_ERR_INVALID_NODE_DEVICE, "invalid node device pointer", "invalid node device pointer in %s")
    COLON(VIR_ERR_NO_NODE_DEVICE, "Node device not found")
    COLON(VIR_ERR_NO_SECURITY_MODEL, "Security model not found")
    COLON(VIR_ERR_OPERATION_INVALID, "Requested operation is not valid")
    COLON(VIR_WAR_NO_INTERFACE, "Failed to find the interface")
    COLON(VIR_ERR_NO_INTERFACE, "Interface not found")
    SPACE(VIR_ERR_INVALID_INTERFACE, "invalid interface pointer in")
    COLON(VIR_ERR_MULTIPLE_INTERFACES, "multiple matching interfaces found")
    COLON(VIR_WAR_NO_NWFILTER, "Failed to start the nwfilter driver")
    COLON(VIR_ERR_INVALID_NWFILTER, "Invalid network filter")
    COLON(VIR_ERR_NO_NWFILTER, "Network filter not found")
    COLON(VIR_ERR_BUILD_FIREWALL, "Error while building firewall")
    COLON(VIR_WAR_NO_SECRET, "Failed to find a secret storage driver")
    COLON(VIR_ERR_INVALID_SECRET, "Invalid secret")
    COLON(VIR_ERR_NO_SECRET, "Secret not found")
    COLON(VIR_ERR_CONFIG_UNSUPPORTED, "unsupported configuration")
    COLON(VIR_ERR_OPERATION_TIMEOUT, "Timed out during operation")
    COLON(VIR_ERR_MIGRATE_PERSIST_FAILED, "Failed to make domain persistent after migration")
    COLON(VIR_ERR_HOOK_SCRIPT_FAILED, "Hook script execution failed")
    COLON(VIR_ERR_INVALID_DOMAIN_SNAPSHOT, "Invalid domain snapshot")
    COLON(VIR_ERR_NO_DOMAIN_SNAPSHOT, "Domain snapshot not found")
    PHRASE(VIR_ERR_INVALID_STREAM, "invalid stream pointer", "invalid stream pointer in %s")
    COLON(VIR_ERR_ARGUMENT_UNSUPPORTED, "argument unsupported")
    COLON(VIR_ERR_STORAGE_PROBE_FAILED, "Storage pool probe failed")
    COLON(VIR_ERR_STORAGE_POOL_BUILT, "Storage pool already built")
    COLON(VIR_ERR_SNAPSHOT_REVERT_RISKY, "revert requires force")
    COLON(VIR_ERR_OPERATION_ABORTED, "operation aborted")
    COLON(VIR_ERR_AUTH_CANCELLED, "authentication cancelled")
    COLON(VIR_ERR_NO_DOMAIN_METADATA, "metadata not found")
    COLON(VIR_ERR_MIGRATE_UNSAFE, "Unsafe migration")
    COLON(VIR_ERR_OVERFLOW, "numerical overflow")
    COLON(VIR_ERR_BLOCK_COPY_ACTIVE, "block copy still active")
    COLON(VIR_ERR_OPERATION_UNSUPPORTED, "Operation not supported")
    COLON(VIR_ERR_SSH, "SSH transport error")
    COLON(VIR_ERR_AGENT_UNRESPONSIVE, "Guest agent is not responding")
    COLON(VIR_ERR_RESOURCE_BUSY, "resource busy")
    COLON(VIR_ERR_ACCESS_DENIED, "access denied")
    COLON(VIR_ERR_DBUS_SERVICE, "error from service")
    PHRASE(VIR_ERR_STORAGE_VOL_EXIST, "this storage volume exists already", "storage volume %s exists already")
    COLON(VIR_ERR_CPU_INCOMPATIBLE, "the CPU is incompatible with host CPU")
    COLON(VIR_ERR_XML_INVALID_SCHEMA, "XML document failed to validate against schema")
    COLON(VIR_ERR_MIGRATE_FINISH_OK, "migration successfully aborted")
    COLON(VIR_ERR_AUTH_UNAVAILABLE, "authentication unavailable")
    COLON(VIR_ERR_NO_SERVER, "Server not found")
    COLON(VIR_ERR_NO_CLIENT, "Client not found")
    COLON(VIR_ERR_AGENT_UNSYNCED, "guest agent replied with wrong id to guest-sync command")
    COLON(VIR_ERR_LIBSSH, "libssh transport error")
    COLON(VIR_ERR_DEVICE_MISSING, "device not found")
    COLON(VIR_ERR_INVALID_NWFILTER_BINDING, "Invalid network filter binding")
    COLON(VIR_ERR_NO_NWFILTER_BINDING, "Network filter binding not found")
    COLON(VIR_ERR_INVALID_DOMAIN_CHECKPOINT, "Invalid domain checkpoint")
    COLON(VIR_ERR_NO_DOMAIN_CHECKPOINT, "Domain checkpoint not found")
    COLON(VIR_ERR_NO_DOMAIN_BACKUP, "Domain backup job id not found")
    COLON(VIR_ERR_INVALID_NETWORK_PORT, "Invalid network port pointer")
    PHRASE(VIR_ERR_NETWORK_PORT_EXIST, "this network port exists already", "network port %s exists already")
    COLON(VIR_ERR_NO_NETWORK_PORT, "network port not found")
    COLON(VIR_ERR_NO_HOSTNAME, "no hostname found")
    COLON(VIR_ERR_CHECKPOINT_INCONSISTENT, "checkpoint inconsistent")
    COLON(VIR_ERR_MULTIPLE_DOMAINS, "multiple matching domains found")
    COLON(VIR_ERR_NO_NETWORK_METADATA, "network metadata not found")
    COLON(VIR_ERR_AGENT_COMMAND_TIMEOUT, "guest agent command timed out")
    COLON(VIR_ERR_AGENT_COMMAND_FAILED, "guest agent command failed")
    COLON(VIR_ERR_INVALID_ENCR_KEY_SECRET, "unusable key for the encryption of secrets")
};
static_assert(N_ELEMENTS(texts) == VIR_ERR_INVALID_ENCR_KEY_SECRET + 1, "a code has no words");

const char *err_code_template(int code, bool with_detail)
{
    static const CodeText unknown = {"unknown error", "unknown error: %s"};
    const CodeText *t = code > VIR_ERR_OK && (size_t)code < N_ELEMENTS(texts) && texts[code].alone ? &texts[code] : &unknown;

    return with_detail ? t->detail : t->alone;
}
