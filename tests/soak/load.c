/* tests/soak/load.c - a crowd of clients: any call, in any order, ended in any way
 *
 *   load [OPTION...] SOCKET READ-ONLY-SOCKET
 *
 * Owns:    options, one thread a client, what a client does next, the count at the end (one JSON object on stdout)
 * Threads: one a client; they share nothing but the daemon
 * Errors:  exit status 1 when the daemon answered what cannot be decoded, not at all, or closed a connection nobody gave it reason to
 *
 * What each client sends depends on the seed and its number, and on nothing else but the callback numbers the daemon gave it; what the
 * daemon makes of it depends on the others.  Variety is the aim, not speed.
 */
#include "config.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "protocol/qemu_protocol.h"
#include "protocol/remote_protocol.h"
#include "tests/soak/load.h"
#include "util/uuid.h"

#define IN_FLIGHT 8 /* calls sent before the first answer is read */

void load_fail(const Client *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    fprintf(stderr, "client %u, call %" G_GUINT64_FORMAT ": %s\n", c->number, c->count.calls, text);
    g_atomic_int_set(&c->load->failed, 1);
}

uint32_t load_rnd(Client *c, uint32_t below)
{
    c->rnd ^= c->rnd << 13;
    c->rnd ^= c->rnd >> 7;
    c->rnd ^= c->rnd << 17;
    return below ? (uint32_t)(c->rnd >> 16) % below : 0;
}

static const ProcInfo *remote_row(int nr)
{
    return proc_lookup(REMOTE_PROGRAM, nr);
}

/* Sends one call; waits for its answer unless `ret_serial` is given. */
static bool call(Client *c, const ProcInfo *p, const void *body, size_t len, uint32_t *ret_serial)
{
    uint32_t serial;
    if (!client_call(c, p, body, len, &serial))
        return false;
    if (ret_serial) {
        *ret_serial = serial;
        return true;
    }
    return client_await(c, serial);
}

static bool call_args(Client *c, const ProcInfo *p, const void *args, uint32_t *ret_serial)
{
    uint8_t body[LOAD_BODY_MAX];
    ssize_t n = args ? wire_encode(&p->args, args, body, sizeof(body)) : 0;
    if (n < 0) {
        load_fail(c, "cannot encode the arguments of %s", p->name);
        return false;
    }
    return call(c, p, body, (size_t)n, ret_serial);
}

/* Arguments as chance has them, for the machine. */
static bool call_any(Client *c, const ProcInfo *p, Whose whose, uint32_t *ret_serial)
{
    uint8_t body[LOAD_BODY_MAX];
    LoadName name;
    name_pick(c, whose, &name);
    ssize_t n = args_any(c, p, &name, body, sizeof(body));
    if (n < 0)
        n = args_garbage(c, body, sizeof(body));
    return call(c, p, body, (size_t)n, ret_serial);
}

static remote_nonnull_domain ref_of(LoadName *name)
{
    remote_nonnull_domain ref = {.name = name->name, .id = -1};
    memcpy(ref.uuid, name->uuid, sizeof(ref.uuid));
    return ref;
}

/* ---- what a client does: each returns false when the connection broke ---------------------------------------------------------- */

static Whose any_whose(Client *c)
{
    static const Whose often[] = {WHOSE_OWN, WHOSE_OWN, WHOSE_ANY, WHOSE_GUEST, WHOSE_GUEST, WHOSE_GUEST, WHOSE_NOBODY};
    return often[load_rnd(c, G_N_ELEMENTS(often))];
}

/* Suspends the host; asks for the end of the connection, which is done elsewhere. */
static bool is_left_out(const ProcInfo *p)
{
    return p->prog == REMOTE_PROGRAM && (p->nr == REMOTE_PROC_NODE_SUSPEND_FOR_DURATION || p->nr == REMOTE_PROC_CONNECT_CLOSE);
}

/* Guests are to stay what they are, or the storm would soon have none; starts and stops are rationed (do_power). */
static bool harms_guests(const ProcInfo *p)
{
    static const int nrs[] = {REMOTE_PROC_DOMAIN_CREATE,  REMOTE_PROC_DOMAIN_CREATE_WITH_FLAGS, REMOTE_PROC_DOMAIN_DESTROY,
                              REMOTE_PROC_DOMAIN_DESTROY_FLAGS, REMOTE_PROC_DOMAIN_UNDEFINE, REMOTE_PROC_DOMAIN_UNDEFINE_FLAGS,
                              REMOTE_PROC_DOMAIN_RENAME};
    for (size_t i = 0; i < G_N_ELEMENTS(nrs) && p->prog == REMOTE_PROGRAM; i++) {
        if (p->nr == nrs[i])
            return true;
    }
    return false;
}

static const ProcInfo *any_row(Client *c)
{
    for (;;) {
        const ProcInfo *p = &c->load->rows[load_rnd(c, (uint32_t)c->load->n_rows)];
        if (!is_left_out(p) && (!g_atomic_int_get(&c->load->unsupported[p->index]) || load_rnd(c, 50) == 0))
            return p;
    }
}

static bool do_any(Client *c)
{
    uint32_t serials[IN_FLIGHT];
    unsigned n = load_rnd(c, 3) ? 1 : 1 + load_rnd(c, IN_FLIGHT);
    for (unsigned i = 0; i < n; i++) {
        const ProcInfo *p = any_row(c);
        if (!call_any(c, p, harms_guests(p) ? WHOSE_OWN : any_whose(c), &serials[i]))
            return false;
    }
    /* answers come in any order: as many as there were calls */
    for (unsigned i = 0; i < n; i++) {
        do {
            if (!client_receive(c))
                return false;
        } while (c->h.type != RPC_TYPE_REPLY && c->h.type != RPC_TYPE_REPLY_FDS);
        if (c->h.serial < serials[0] || c->h.serial > serials[n - 1])
            load_fail(c, "an answer to call %u, which nobody waits for", c->h.serial);
    }
    return true;
}

static bool do_garbage(Client *c)
{
    uint8_t body[LOAD_BODY_MAX];
    ssize_t n = args_garbage(c, body, sizeof(body));
    const ProcInfo *p = any_row(c);
    int32_t nr = load_rnd(c, 4) ? p->nr : (int32_t)load_rnd(c, 600);
    if (p->prog == REMOTE_PROGRAM && (nr == REMOTE_PROC_NODE_SUSPEND_FOR_DURATION || nr == REMOTE_PROC_CONNECT_CLOSE))
        nr = 0;
    uint32_t serial = c->serial++;
    c->count.garbage++;
    c->count.calls++;
    return client_send(c, p->prog, nr, RPC_TYPE_CALL, serial, RPC_STATUS_OK, body, (size_t)n) && client_await(c, serial);
}

static bool define(Client *c, LoadName *name)
{
    g_autofree char *xml = args_xml(c, name);
    if (load_rnd(c, 2))
        return call_args(c, remote_row(REMOTE_PROC_DOMAIN_DEFINE_XML), &(remote_domain_define_xml_args){xml}, NULL);
    return call_args(c, remote_row(REMOTE_PROC_DOMAIN_DEFINE_XML_FLAGS), &(remote_domain_define_xml_flags_args){xml, load_rnd(c, 2)}, NULL);
}

static bool undefine(Client *c, LoadName *name)
{
    return call_args(c, remote_row(REMOTE_PROC_DOMAIN_UNDEFINE_FLAGS), &(remote_domain_undefine_flags_args){ref_of(name), 0}, NULL);
}

static bool do_define(Client *c)
{
    static const Whose whose[] = {WHOSE_OWN, WHOSE_OWN, WHOSE_ANY, WHOSE_GUEST, WHOSE_FRESH};
    LoadName name;
    name_pick(c, whose[load_rnd(c, G_N_ELEMENTS(whose))], &name);
    bool fresh = strncmp(name.name, "fresh", 5) == 0;
    if (name.guest || fresh || load_rnd(c, 2)) {
        if (!define(c, &name))
            return false;
        return !fresh || undefine(c, &name);
    }
    return undefine(c, &name);
}

static bool do_change(Client *c)
{
    LoadName name;
    char text[32];
    char *content = text, *key = NULL, *uri = NULL;
    name_pick(c, any_whose(c), &name);
    g_snprintf(text, sizeof(text), "text %u", load_rnd(c, 1000));
    switch (load_rnd(c, 4)) {
    case 0:
        return call_args(c, remote_row(REMOTE_PROC_DOMAIN_SET_AUTOSTART),
                         &(remote_domain_set_autostart_args){ref_of(&name), (int)load_rnd(c, 2)}, NULL);
    case 1:
        return call_args(c, remote_row(REMOTE_PROC_DOMAIN_SET_METADATA),
                         &(remote_domain_set_metadata_args){ref_of(&name), (int)load_rnd(c, 2), &content, NULL, NULL, load_rnd(c, 4)}, NULL);
    case 2: {
        g_snprintf(text, sizeof(text), "<soak n='%u'/>", load_rnd(c, 1000));
        char name_of_key[] = "soak", name_of_uri[] = "http://example.org/soak";
        key = name_of_key;
        uri = name_of_uri;
        return call_args(c, remote_row(REMOTE_PROC_DOMAIN_SET_METADATA),
                         &(remote_domain_set_metadata_args){ref_of(&name), 2, load_rnd(c, 4) ? &content : NULL, &key, &uri, load_rnd(c, 4)}, NULL);
    }
    default: {
        if (name.guest)
            name_pick(c, WHOSE_ANY, &name);
        LoadName to;
        name_pick(c, WHOSE_ANY, &to);
        char *new_name = to.name;
        return call_args(c, remote_row(REMOTE_PROC_DOMAIN_RENAME), &(remote_domain_rename_args){ref_of(&name), &new_name, 0}, NULL);
    }
    }
}

static bool do_read(Client *c)
{
    static const int often[] = {REMOTE_PROC_DOMAIN_GET_XML_DESC,       REMOTE_PROC_DOMAIN_GET_INFO,     REMOTE_PROC_DOMAIN_GET_STATE,
                                REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME,     REMOTE_PROC_DOMAIN_LOOKUP_BY_UUID, REMOTE_PROC_CONNECT_LIST_ALL_DOMAINS,
                                REMOTE_PROC_CONNECT_GET_ALL_DOMAIN_STATS, REMOTE_PROC_DOMAIN_BLOCK_STATS,  REMOTE_PROC_DOMAIN_MEMORY_STATS,
                                REMOTE_PROC_CONNECT_GET_CAPABILITIES,  REMOTE_PROC_DOMAIN_GET_BLOCK_INFO, REMOTE_PROC_DOMAIN_GET_CPU_STATS};
    const ProcInfo *p = remote_row(often[load_rnd(c, G_N_ELEMENTS(often))]);
    if (p->nr == REMOTE_PROC_CONNECT_GET_ALL_DOMAIN_STATS && load_rnd(c, 2))
        return call_args(c, p, &(remote_connect_get_all_domain_stats_args){.stats = 0}, NULL);
    return call_any(c, p, any_whose(c), NULL);
}

static bool do_events(Client *c)
{
    if (c->n_callbacks > 0 && load_rnd(c, 2)) {
        int id = c->callbacks[--c->n_callbacks];
        return call_args(c, remote_row(REMOTE_PROC_CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY),
                         &(remote_connect_domain_event_callback_deregister_any_args){id}, NULL);
    }
    LoadName name;
    name_pick(c, any_whose(c), &name);
    remote_nonnull_domain ref = ref_of(&name);
    bool ok;
    if (load_rnd(c, 4) == 0) {
        char pattern[] = "^(STOP|RESUME|SHUT.*)$";
        char *event = pattern;
        ok = call_args(c, proc_lookup(QEMU_PROGRAM, QEMU_PROC_CONNECT_DOMAIN_MONITOR_EVENT_REGISTER),
                       &(qemu_connect_domain_monitor_event_register_args){load_rnd(c, 2) ? &ref : NULL, &event, load_rnd(c, 4)}, NULL);
        return ok; /* stays until the connection ends */
    }
    ok = call_args(c, remote_row(REMOTE_PROC_CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY),
                   &(remote_connect_domain_event_callback_register_any_args){(int)load_rnd(c, 27), load_rnd(c, 2) ? &ref : NULL}, NULL);
    if (ok && c->h.status == RPC_STATUS_OK && c->body_len == 4 && c->n_callbacks < G_N_ELEMENTS(c->callbacks))
        c->callbacks[c->n_callbacks++] = (int)GUINT32_FROM_BE(*(uint32_t *)(void *)c->body);
    return ok;
}

/* Reads what has come already, so that a stream runs beside the calls. */
static bool drain(Client *c)
{
    struct pollfd pfd = {.fd = c->fd, .events = POLLIN};
    for (int i = 0; i < 16 && !c->stream_over && poll(&pfd, 1, 0) > 0; i++) {
        if (!client_receive(c))
            return false;
    }
    return true;
}

static bool end_stream(Client *c, const ProcInfo *p, bool abort)
{
    uint32_t status = abort ? RPC_STATUS_ERROR : RPC_STATUS_OK;
    if (!c->stream_over && !client_send(c, p->prog, p->nr, RPC_TYPE_STREAM, c->stream, status, NULL, 0))
        return false;
    while (!c->stream_over) {
        if (!client_receive(c))
            return false;
    }
    c->streaming = false;
    return true;
}

static bool do_stream(Client *c)
{
    static const int nrs[] = {REMOTE_PROC_DOMAIN_OPEN_CONSOLE, REMOTE_PROC_DOMAIN_SCREENSHOT, REMOTE_PROC_DOMAIN_OPEN_CHANNEL};
    const ProcInfo *p = remote_row(nrs[load_rnd(c, G_N_ELEMENTS(nrs))]);
    LoadName name;
    name_pick(c, WHOSE_GUEST, &name);
    c->stream = c->serial;
    c->streaming = true;
    c->stream_over = false;
    bool ok;
    if (p->nr == REMOTE_PROC_DOMAIN_OPEN_CONSOLE)
        ok = call_args(c, p, &(remote_domain_open_console_args){ref_of(&name), NULL, load_rnd(c, 3)}, NULL);
    else if (p->nr == REMOTE_PROC_DOMAIN_SCREENSHOT)
        ok = call_args(c, p, &(remote_domain_screenshot_args){ref_of(&name), 0, 0}, NULL);
    else
        ok = call_args(c, p, &(remote_domain_open_channel_args){ref_of(&name), NULL, load_rnd(c, 2)}, NULL);
    if (!ok || c->h.status != RPC_STATUS_OK) {
        c->streaming = false;
        return ok;
    }
    c->count.streams++;
    for (unsigned i = load_rnd(c, 6); i > 0 && !c->stream_over; i--) {
        char text[512];
        memset(text, 'x', sizeof(text));
        if (p->nr != REMOTE_PROC_DOMAIN_SCREENSHOT &&
            !client_send(c, p->prog, p->nr, RPC_TYPE_STREAM, c->stream, RPC_STATUS_CONTINUE, text, 1 + load_rnd(c, sizeof(text))))
            return false;
        if (!do_read(c) || !drain(c))
            return false;
    }
    switch (load_rnd(c, 4)) {
    case 0:
        return false; /* the connection ends in the middle of it */
    case 1:
        return end_stream(c, p, true);
    default:
        return end_stream(c, p, false);
    }
}

static bool do_monitor(Client *c)
{
    static const char *const commands[] = {"{\"execute\":\"query-status\"}", "{\"execute\":\"query-block\"}", "info version", "{\"execute\":",
                                           "{\"execute\":\"no-such-command\"}"};
    unsigned i = load_rnd(c, G_N_ELEMENTS(commands));
    LoadName name;
    name_pick(c, WHOSE_GUEST, &name);
    g_autofree char *cmd = g_strdup(commands[i]);
    return call_args(c, proc_lookup(QEMU_PROGRAM, QEMU_PROC_DOMAIN_MONITOR_COMMAND),
                     &(qemu_domain_monitor_command_args){ref_of(&name), cmd, i == 2}, NULL);
}

static bool do_power(Client *c)
{
    static const int nrs[] = {REMOTE_PROC_DOMAIN_CREATE,  REMOTE_PROC_DOMAIN_CREATE,  REMOTE_PROC_DOMAIN_CREATE_WITH_FLAGS,
                              REMOTE_PROC_DOMAIN_DESTROY, REMOTE_PROC_DOMAIN_SUSPEND, REMOTE_PROC_DOMAIN_RESUME,
                              REMOTE_PROC_DOMAIN_RESET,   REMOTE_PROC_DOMAIN_DEFINE_XML};
    const ProcInfo *p = remote_row(nrs[load_rnd(c, G_N_ELEMENTS(nrs))]);
    LoadName name;
    name_pick(c, WHOSE_GUEST, &name);
    if (p->nr == REMOTE_PROC_DOMAIN_DEFINE_XML)
        return define(c, &name);
    uint8_t body[LOAD_BODY_MAX];
    ssize_t n = args_any(c, p, &name, body, sizeof(body));
    return n < 0 || call(c, p, body, (size_t)n, NULL);
}

/* ---- connections ---------------------------------------------------------------------------------------------------------------- */

static bool open_connection(Client *c)
{
    for (;;) {
        if (!client_connect(c, load_rnd(c, 5) == 0))
            return false;
        uint32_t early = load_rnd(c, 100);
        if (early < 2) { /* gone before a word, or in the middle of the first */
            client_close(c, early ? END_HALF_PACKET : END_PLAIN);
            continue;
        }
        char uri[] = "qemu:///system";
        char *name = uri;
        if (!call_args(c, remote_row(REMOTE_PROC_AUTH_LIST), NULL, NULL) ||
            !call_args(c, remote_row(REMOTE_PROC_CONNECT_OPEN), &(remote_connect_open_args){&name, c->read_only}, NULL) ||
            c->h.status != RPC_STATUS_OK) {
            load_fail(c, "a connection cannot be opened");
            return false;
        }
        return true;
    }
}

/* With calls under way, some of them waiting for a guest. */
static void leave_calls(Client *c)
{
    for (unsigned i = 1 + load_rnd(c, IN_FLIGHT); i > 0; i--) {
        uint32_t serial;
        const ProcInfo *p = load_rnd(c, 2) ? any_row(c) : remote_row(REMOTE_PROC_DOMAIN_SUSPEND);
        if (!call_any(c, p, harms_guests(p) ? WHOSE_OWN : any_whose(c), &serial))
            return;
        c->count.aborted++;
    }
}

static void end_connection(Client *c)
{
    switch (load_rnd(c, 3)) {
    case 0:
        leave_calls(c);
        break;
    case 1:
        call_args(c, remote_row(REMOTE_PROC_CONNECT_CLOSE), NULL, NULL);
        break;
    default:
        break;
    }
    client_close(c, (LoadEnd)load_rnd(c, END_MAX));
}

/* One thing; false when it ended the connection. */
static bool step(Client *c)
{
    if (load_rnd(c, 1000) < c->load->power)
        return do_power(c);
    uint32_t what = load_rnd(c, 100);
    if (what < 45)
        return do_any(c);
    if (what < 65)
        return do_read(c);
    if (what < 75)
        return do_define(c);
    if (what < 83)
        return do_change(c);
    if (what < 88)
        return do_events(c);
    if (what < 93)
        return do_garbage(c);
    if (what < 96)
        return do_monitor(c);
    return do_stream(c);
}

static gpointer client_main(gpointer arg)
{
    Client *c = arg;
    Load *load = c->load;
    uint64_t mine = load->calls / load->clients + (c->number < load->calls % load->clients);
    while (c->count.calls < mine && !g_atomic_int_get(&load->failed)) {
        if (c->fd < 0 && !open_connection(c))
            break;
        bool was_streaming = c->streaming;
        if (step(c)) {
            if (load_rnd(c, 60) == 0)
                end_connection(c);
        } else {
            if (!c->streaming && !was_streaming)
                load_fail(c, "the daemon closed the connection");
            client_close(c, END_PLAIN);
        }
    }
    client_close(c, END_PLAIN);
    g_free(c->body);
    return NULL;
}

/* ---- the program ---------------------------------------------------------------------------------------------------------------- */

static void add_guest(Load *load, const char *spec)
{
    g_auto(GStrv) part = g_strsplit(spec, "=", 3);
    LoadGuest g = {0};
    g_autoptr(GError) gerr = NULL;
    if (g_strv_length(part) != 3 || !uuid_parse(part[1], g.uuid) || !g_file_get_contents(part[2], &g.xml, NULL, &gerr)) {
        fprintf(stderr, "--guest %s: NAME=UUID=FILE is wanted%s%s\n", spec, gerr ? ": " : "", gerr ? gerr->message : "");
        exit(2);
    }
    g.name = g_strdup(part[0]);
    g_array_append_val(load->guests, g);
}

static void add_counts(LoadCount *sum, const LoadCount *one)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)one;
    for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
        to[i] += from[i];
}

static void print_counts(const LoadCount *n, unsigned supported)
{
    printf("{\"calls\": %" G_GUINT64_FORMAT ", \"ok\": %" G_GUINT64_FORMAT ", \"errors\": %" G_GUINT64_FORMAT
           ", \"connections\": %" G_GUINT64_FORMAT ", \"events\": %" G_GUINT64_FORMAT ", \"streams\": %" G_GUINT64_FORMAT
           ", \"stream_bytes\": %" G_GUINT64_FORMAT ", \"fds\": %" G_GUINT64_FORMAT ", \"aborted\": %" G_GUINT64_FORMAT
           ", \"garbage\": %" G_GUINT64_FORMAT ", \"procedures\": %u, \"codes\": {",
           n->calls, n->ok, n->errors, n->connections, n->events, n->streams, n->stream_bytes, n->fds, n->aborted, n->garbage, supported);
    bool first = true;
    for (unsigned i = 0; i < LOAD_CODES; i++) {
        if (n->codes[i] > 0)
            printf("%s\"%u\": %" G_GUINT64_FORMAT, first ? "" : ", ", i, n->codes[i]);
        first = first && n->codes[i] == 0;
    }
    printf("}}\n");
}

int main(int argc, char **argv)
{
    Load load = {.clients = 64, .calls = 10000, .seed = 1, .power = 4};
    gint clients = 64, seed = 1, power = 4;
    gint64 calls = 10000;
    g_autofree char *template_path = NULL, *template = NULL;
    g_auto(GStrv) guests = NULL;
    const GOptionEntry entries[] = {
        {"clients", 0, 0, G_OPTION_ARG_INT, &clients, "clients at once", "N"},
        {"calls", 0, 0, G_OPTION_ARG_INT64, &calls, "calls of all of them together", "N"},
        {"seed", 0, 0, G_OPTION_ARG_INT, &seed, "another storm", "N"},
        {"power", 0, 0, G_OPTION_ARG_INT, &power, "calls of a thousand that start, stop or pause a guest", "N"},
        {"guest", 0, 0, G_OPTION_ARG_STRING_ARRAY, &guests, "a machine that can be started", "NAME=UUID=FILE"},
        {"domain", 0, 0, G_OPTION_ARG_FILENAME, &template_path, "what the others define, with @NAME@ and @UUID@", "FILE"},
        {NULL}};
    g_autoptr(GOptionContext) options = g_option_context_new("SOCKET READ-ONLY-SOCKET");
    g_autoptr(GError) gerr = NULL;
    g_option_context_add_main_entries(options, entries, NULL);
    if (!g_option_context_parse(options, &argc, &argv, &gerr) || argc != 3 || !template_path || clients < 1 || calls < 1 ||
        !g_file_get_contents(template_path, &template, NULL, &gerr)) {
        fprintf(stderr, "load: %s\n", gerr ? gerr->message : "two sockets and --domain are needed");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    load.path = argv[1];
    load.ro_path = argv[2];
    load.clients = (unsigned)clients;
    load.calls = (uint64_t)calls;
    load.seed = (unsigned)seed;
    load.power = (unsigned)power;
    load.domain_xml = template;
    load.guests = g_array_new(FALSE, TRUE, sizeof(LoadGuest));
    for (char **g = guests; g && *g; g++)
        add_guest(&load, *g);
    load.rows = proc_table(&load.n_rows);
    load.unsupported = g_new0(gint, load.n_rows);

    Client *all = g_new0(Client, load.clients);
    g_autofree GThread **threads = g_new0(GThread *, load.clients);
    for (unsigned i = 0; i < load.clients; i++) {
        all[i] = (Client){.load = &load, .number = i, .fd = -1, .rnd = ((uint64_t)load.seed << 32 | i) * 0x9e3779b97f4a7c15u + 1};
        threads[i] = g_thread_new("client", client_main, &all[i]);
    }
    LoadCount sum = {0};
    for (unsigned i = 0; i < load.clients; i++) {
        g_thread_join(threads[i]);
        add_counts(&sum, &all[i].count);
    }
    unsigned supported = 0;
    for (size_t i = 0; i < load.n_rows; i++)
        supported += load.unsupported[i] == 0;
    print_counts(&sum, supported);
    for (guint i = 0; i < load.guests->len; i++) {
        LoadGuest *g = &g_array_index(load.guests, LoadGuest, i);
        g_free(g->name);
        g_free(g->xml);
    }
    g_array_unref(load.guests);
    g_free(load.unsupported);
    g_free(all);
    return g_atomic_int_get(&load.failed) ? EXIT_FAILURE : EXIT_SUCCESS;
}
