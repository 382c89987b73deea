/* host/image_backing.c - which file is behind an image, as its header names it
 *
 * Owns:    QEMU's ways to write the name of a backing file, as far as they mean a file of this host
 * Threads: any; pure
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED, VIR_ERR_OPERATION_INVALID
 *
 * The name comes from whoever can write the image, which may be a guest.
 */
#include "config.h"

#include <jansson.h>
#include <string.h>

#include "host/image.h"

/* What is written in JSON or a URI can spell what no name may have: it will stand in the definition and in messages. */
static bool is_name(const char *s)
{
    if (!s)
        return true;
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++) {
        if (g_ascii_iscntrl(s[i]))
            return false;
    }
    return n < IMAGE_MAX_PATH && g_utf8_validate(s, (gssize)n, NULL);
}

/* False: only a part of the file is meant, decrypted by something, or with other images below it than its header says.  The guest would read
 * something else if that were passed over. */
static bool is_plain(json_t *o)
{
    static const char *const more[] = {"offset", "size", "backing", "data-file", "encrypt", "key-secret"};
    const char *key;
    json_t *v;
    json_object_foreach (o, key, v) {
        for (unsigned i = 0; i < N_ELEMENTS(more); i++) {
            size_t n = strlen(more[i]);
            if (strncmp(key, more[i], n) == 0 && (key[n] == '\0' || key[n] == '.'))
                return false;
        }
    }
    return true;
}

/* The file name inside a "json:{…}" description of a plain local file, or NULL. Caller frees. */
static char *json_filename(const char *text, ImageFmt *fmt, char **fmt_name)
{
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const char *driver = json_string_value(json_object_get(o, "driver"));
    json_t *file = json_object_get(o, "file");
    const char *name = json_string_value(json_object_get(o, "file.filename"));
    const char *proto = json_string_value(json_object_get(o, "file.driver"));
    if (json_is_object(file)) {
        name = json_string_value(json_object_get(file, "filename"));
        proto = json_string_value(json_object_get(file, "driver"));
    } else if (driver && (strcmp(driver, "file") == 0 || strcmp(driver, "host_device") == 0)) {
        name = json_string_value(json_object_get(o, "filename"));
        proto = driver;
        driver = NULL;
    }
    char *ret = NULL;
    if (name && is_plain(o) && (proto == NULL || strcmp(proto, "file") == 0 || strcmp(proto, "host_device") == 0)) {
        ret = g_strdup(name);
        if (driver) {
            *fmt = image_fmt_find(driver);
            g_free(*fmt_name);
            *fmt_name = g_strdup(driver);
        }
    }
    json_decref(o);
    return ret;
}

/* ---- network block devices ----------------------------------------------------------------------------------------------------- */

#define NBD_PORT 10809u

void image_nbd_free(ImageNbd *n)
{
    if (n) {
        g_free(n->host);
        g_free(n->socket);
        g_free(n->name);
        g_free(n);
    }
}

static bool port_of(const char *text, unsigned *ret)
{
    guint64 v;
    if (!g_ascii_string_to_unsigned(text, 10, 1, 65535, &v, NULL))
        return false;
    *ret = (unsigned)v;
    return true;
}

/* nbd://host[:port]/export, nbd+unix:///export?socket=/path */
static bool nbd_from_uri(const char *text, ImageNbd *n)
{
    g_autoptr(GUri) uri = g_uri_parse(text, G_URI_FLAGS_ENCODED_QUERY, NULL);
    if (!uri)
        return false;
    const char *scheme = g_uri_get_scheme(uri), *host = g_uri_get_host(uri), *path = g_uri_get_path(uri), *query = g_uri_get_query(uri);
    n->name = g_strdup(path && *path == '/' ? path + 1 : "");
    if (strcmp(scheme, "nbd+unix") == 0) {
        g_autoptr(GHashTable) q = query ? g_uri_parse_params(query, -1, "&", G_URI_PARAMS_NONE, NULL) : NULL;
        n->socket = q ? g_strdup(g_hash_table_lookup(q, "socket")) : NULL;
        return n->socket != NULL;
    }
    if ((strcmp(scheme, "nbd") != 0 && strcmp(scheme, "nbd+tcp") != 0) || !host || !*host)
        return false;
    n->host = g_strdup(host);
    n->port = g_uri_get_port(uri) > 0 ? (unsigned)g_uri_get_port(uri) : NBD_PORT;
    return true;
}

/* nbd:host:port[:exportname=x], nbd:unix:/path[:exportname=x] */
static bool nbd_from_words(const char *text, ImageNbd *n)
{
    const char *words = text + strlen("nbd:"); /* the caller has seen it */
    const char *export = strstr(words, ":exportname=");
    g_autofree char *place = g_strndup(words, export ? (gsize)(export - words) : strlen(words));
    n->name = g_strdup(export ? export + strlen(":exportname=") : "");
    if (g_str_has_prefix(place, "unix:")) {
        n->socket = g_strdup(place + strlen("unix:"));
        return *n->socket;
    }
    char *colon = strrchr(place, ':');
    if (!colon || !port_of(colon + 1, &n->port))
        return false;
    n->host = g_strndup(place, (gsize)(colon - place));
    return *n->host;
}

static const char *member(json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static bool nbd_from_json(const char *text, ImageHeader *h, ImageNbd *n)
{
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *file = json_object_get(o, "file");
    json_t *nbd = json_is_object(file) ? file : o;
    const char *format = nbd == o ? NULL : member(o, "driver");
    bool ok = g_strcmp0(member(nbd, "driver"), "nbd") == 0 && is_plain(o);
    json_t *server = json_object_get(nbd, "server");
    bool nested = json_is_object(server);
    const char *type = nested ? member(server, "type") : member(nbd, "server.type");
    const char *host = nested ? member(server, "host") : member(nbd, "server.host"), *port = nested ? member(server, "port") : member(nbd, "server.port");
    const char *socket = nested ? member(server, "path") : member(nbd, "server.path"), *name = member(nbd, "export");
    if (ok) {
        n->name = g_strdup(name ? name : "");
        n->port = NBD_PORT;
        if (g_strcmp0(type, "unix") == 0)
            n->socket = g_strdup(socket);
        else if (!type || strcmp(type, "inet") == 0)
            n->host = g_strdup(host ? host : member(nbd, "host"));
        port = port ? port : member(nbd, "port");
        ok = (n->socket || n->host) && (!port || port_of(port, &n->port));
        if (ok && format) {
            h->backing_fmt = image_fmt_find(format);
            g_free(h->backing_fmt_name);
            h->backing_fmt_name = g_strdup(format);
        }
    }
    json_decref(o);
    return ok;
}

ImageNbd *image_backing_nbd(ImageHeader *h)
{
    g_autoptr(ImageNbd) n = g_new0(ImageNbd, 1);
    const char *b = h->backing;
    bool ok = g_str_has_prefix(b, "json:")                              ? nbd_from_json(b + 5, h, n)
              : g_str_has_prefix(b, "nbd://") || g_str_has_prefix(b, "nbd+") ? nbd_from_uri(b, n)
              : g_str_has_prefix(b, "nbd:")                             ? nbd_from_words(b, n)
                                                                        : false;
    ok = ok && is_name(n->host) && is_name(n->socket) && is_name(n->name);
    return ok ? g_steal_pointer(&n) : NULL;
}

/* "nbd://…", "http:…": something before the first slash ends in a colon. */
static bool has_protocol(const char *path)
{
    size_t n = strcspn(path, ":/");
    return path[n] == ':';
}

char *image_backing_path(const char *image, ImageHeader *h, Err *err)
{
    g_autofree char *name = NULL;
    if (strncmp(h->backing, "json:", 5) == 0)
        name = json_filename(h->backing + 5, &h->backing_fmt, &h->backing_fmt_name);
    else if (strncmp(h->backing, "file:", 5) == 0 && !has_protocol(h->backing + 5))
        name = g_strdup(h->backing + 5);
    else if (!has_protocol(h->backing))
        name = g_strdup(h->backing);
    if (name == NULL || !*name || !is_name(name)) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "backing file '%s' of image '%s' is no local file", h->backing, image);
        return NULL;
    }
    if (name[0] == '/')
        return g_steal_pointer(&name);
    g_autofree char *dir = g_path_get_dirname(image);
    return g_build_filename(dir, name, NULL);
}

int image_backing_format(const char *image, const ImageHeader *h, const char *path, ImageFmt looks, ImageFmt *ret, Err *err)
{
    if (h->backing_fmt_name == NULL) {
        err_set(err, VIR_ERR_OPERATION_INVALID, "format of backing image '%s' of image '%s' was not specified in the image metadata", path,
                image);
        g_autofree char *quoted = g_shell_quote(image), *backing = g_shell_quote(h->backing);
        const char *fmt = image_fmt_names[looks];
        return err_hint(err, "%s%s%srecord it with: qemu-img rebase -u -f %s -b %s -F %s %s", fmt ? "it looks like " : "", fmt ? fmt : "",
                        fmt ? "; if it is that, " : "", image_fmt_names[h->fmt], backing, fmt ? fmt : "FORMAT", quoted);
    }
    if (h->backing_fmt == IMAGE_FMT_NONE)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "format '%s' of backing image '%s' of image '%s'", h->backing_fmt_name, path,
                       image);
    *ret = h->backing_fmt;
    return 0;
}
