/* store/status.c - what the daemon must know of a running machine to find it again
 *
 * Owns:    the format of RUN_DIR/NAME.xml; how a file of libvirtd's is told from ours
 * Threads: workers (writes files)
 * Errors:  VIR_ERR_SYSTEM_ERROR, VIR_ERR_XML_ERROR with the path
 *
 * The root element of libvirtd's files is <domstatus>, of ours <berthstatus format='1'>.  A file that is not ours, or
 * of a later format, means a machine somebody else looks after: it is read by nobody here, and nothing is written in
 * its place.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "api_enums.h"
#include "util/file.h"
#include "util/xml.h"
#include "store/defs.h"
#include "store/status.h"

/* ---- numbers and words by row: written and read by the same table ------------------------------------------------ */

typedef enum { K_INT, K_U32, K_U64, K_BOOL, K_STRING } Kind;

typedef struct Row {
    const char *name;
    Kind kind;
    size_t offset;
    bool required;
} Row;

#define FIELD(S, name, kind, field, required)                                                                          \
    {                                                                                                                  \
        name, kind, offsetof(S, field), required                                                                       \
    }
#define ROW(name, kind, field, required) FIELD(StatusRecord, name, kind, field, required)
#define JOB_ROW(name, kind, field, required) FIELD(StatusBlockJob, name, kind, field, required)

static const Row rows[] = {
    ROW("id", K_INT, id, true),
    ROW("state", K_INT, state, true),
    ROW("reason", K_INT, reason, true),
    ROW("life", K_U64, life, false),
    ROW("pid", K_INT, pid, true),
    ROW("starttime", K_U64, start_time, true),
    ROW("boot", K_STRING, boot_id, false),
    ROW("monitor", K_STRING, monitor_path, true),
    ROW("dir", K_STRING, private_dir, false),
    ROW("log", K_STRING, log_path, false),
    ROW("cgroup", K_STRING, cgroup, false),
    ROW("nodeindex", K_U32, node_index, false),
    ROW("persistent", K_BOOL, persistent, false),
    ROW("starting", K_BOOL, starting, false),
    ROW("autodestroy", K_BOOL, autodestroy, false),
    ROW("fakereboot", K_BOOL, fake_reboot, false),
    ROW("taintedmonitor", K_BOOL, tainted_monitor, false),
    ROW("stopreason", K_INT, stop_reason, false),
    ROW("jobwhat", K_STRING, job_what, false),
    ROW("jobphase", K_INT, job_phase, false),
};

#define VERDICT_ROW(name, kind, field, required) FIELD(JobVerdict, name, kind, field, required)

static const Row verdict_rows[] = {
    VERDICT_ROW("id", K_STRING, id, true),
    VERDICT_ROW("kind", K_STRING, kind, true),
    VERDICT_ROW("disk", K_STRING, disk, true),
    VERDICT_ROW("type", K_INT, type, true),
    VERDICT_ROW("status", K_INT, status, true),
    VERDICT_ROW("error", K_STRING, error, false),
    VERDICT_ROW("begun", K_U64, begun_us, true),
    VERDICT_ROW("ended", K_U64, ended_us, true),
    VERDICT_ROW("bytes", K_U64, bytes, true),
};

static const Row job_rows[] = {
    JOB_ROW("id", K_STRING, id, true),
    JOB_ROW("kind", K_STRING, kind, true),
    JOB_ROW("disk", K_STRING, disk, true),
    JOB_ROW("target", K_STRING, target, true),
    JOB_ROW("state", K_U32, state, true),
    JOB_ROW("abortedready", K_BOOL, aborted_ready, false),
    JOB_ROW("done", K_BOOL, done, false),
    JOB_ROW("top", K_U32, top, false),
    JOB_ROW("base", K_U32, base, false),
    JOB_ROW("flags", K_U32, flags, false),
    JOB_ROW("begun", K_U64, begun_us, false),
};

static void put_attr(GString *s, const char *name, const char *value)
{
    g_autofree char *plain = xml_is_text(value) ? NULL : g_strescape(value, NULL); /* QEMU's words may be anything; the file must be read again */
    g_autofree char *text = g_markup_escape_text(plain ? plain : value, -1);
    g_string_append_printf(s, " %s='%s'", name, text);
}

static void row_format(GString *s, const void *base, const Row *row)
{
    const void *p = (const char *)base + row->offset;
    char num[32];
    switch (row->kind) {
    case K_INT:
        g_snprintf(num, sizeof(num), "%d", *(const int *)p);
        put_attr(s, row->name, num);
        break;
    case K_U32:
        g_snprintf(num, sizeof(num), "%u", *(const unsigned *)p);
        put_attr(s, row->name, num);
        break;
    case K_U64:
        g_snprintf(num, sizeof(num), "%" G_GUINT64_FORMAT, *(const uint64_t *)p);
        put_attr(s, row->name, num);
        break;
    case K_BOOL:
        if (*(const bool *)p)
            put_attr(s, row->name, "yes");
        break;
    case K_STRING:
        if (*(char *const *)p)
            put_attr(s, row->name, *(char *const *)p);
        break;
    }
}

static int row_parse(void *base, const Row *row, xmlNode *node, Err *err)
{
    xmlChar *raw = xmlGetNoNsProp(node, (const xmlChar *)row->name);
    if (!raw)
        return row->required ? err_set(err, VIR_ERR_XML_ERROR, "attribute '%s' is missing", row->name) : 0;
    g_autofree char *text = g_strdup((const char *)raw);
    xmlFree(raw);
    void *p = (char *)base + row->offset;
    gint64 i = 0;
    guint64 u = 0;
    bool good = true;
    switch (row->kind) {
    case K_INT:
        good = g_ascii_string_to_signed(text, 10, G_MININT32, G_MAXINT32, &i, NULL);
        *(int *)p = (int)i;
        break;
    case K_U32:
        good = g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32, &u, NULL);
        *(unsigned *)p = (unsigned)u;
        break;
    case K_U64:
        good = g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &u, NULL);
        *(uint64_t *)p = u;
        break;
    case K_BOOL:
        *(bool *)p = strcmp(text, "yes") == 0;
        break;
    case K_STRING:
        *(char **)p = g_steal_pointer(&text);
        break;
    }
    return good ? 0 : err_set(err, VIR_ERR_XML_ERROR, "attribute '%s' has the value '%s'", row->name, text);
}

/* ---- block jobs -------------------------------------------------------------------------------------------------- */

StatusBlockJob *status_blockjob_copy(const StatusBlockJob *j)
{
    StatusBlockJob *copy = g_memdup2(j, sizeof(*j));
    copy->id = g_strdup(j->id);
    copy->kind = g_strdup(j->kind);
    copy->disk = g_strdup(j->disk);
    copy->target = g_strdup(j->target);
    return copy;
}

void status_blockjob_free(StatusBlockJob *j)
{
    if (!j)
        return;
    g_free(j->id);
    g_free(j->kind);
    g_free(j->disk);
    g_free(j->target);
    g_free(j);
}

static void free_blockjob(gpointer j)
{
    status_blockjob_free(j);
}

static void free_verdict(gpointer v)
{
    job_verdict_free(v);
}

/* One element for each member of a list (NULL: none). */
static void format_list(GString *s, const char *name, const GPtrArray *list, const Row *list_rows, unsigned n)
{
    for (unsigned i = 0; list && i < list->len; i++) {
        g_string_append_printf(s, "<%s", name);
        for (unsigned k = 0; k < n; k++)
            row_format(s, list->pdata[i], &list_rows[k]);
        g_string_append(s, "/>\n");
    }
}

static int parse_list(xmlNode *root, const char *name, GPtrArray **list, size_t size, GDestroyNotify free_one, const Row *list_rows,
                      unsigned n_rows, Err *err)
{
    for (xmlNode *n = root->children; n; n = n->next) {
        if (n->type != XML_ELEMENT_NODE || strcmp((const char *)n->name, name) != 0)
            continue;
        if (!*list)
            *list = g_ptr_array_new_with_free_func(free_one);
        if ((*list)->len >= STATUS_BLOCKJOBS_MAX)
            return err_set(err, VIR_ERR_XML_ERROR, "more than %u elements <%s>", STATUS_BLOCKJOBS_MAX, name);
        void *one = g_malloc0(size);
        g_ptr_array_add(*list, one);
        for (unsigned k = 0; k < n_rows; k++) {
            if (row_parse(one, &list_rows[k], n, err) < 0)
                return -1;
        }
    }
    return 0;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

char *status_format(const StatusRecord *rec)
{
    g_autofree char *def = domain_def_format(rec->live, FORMAT_STATUS | FORMAT_SECURE);
    g_autoptr(GString) s = g_string_new(NULL);
    g_string_append_printf(s,
                           "<!-- Live state of a running machine, the daemon's own. Do not edit or remove. -->\n"
                           "<berthstatus format='%d'>\n<machine",
                           STATUS_FORMAT);
    for (unsigned i = 0; i < N_ELEMENTS(rows); i++)
        row_format(s, rec, &rows[i]);
    g_string_append(s, "/>\n");
    for (unsigned i = 0; rec->taps && rec->taps[i]; i++) {
        g_string_append(s, "<tap");
        put_attr(s, "name", rec->taps[i]);
        g_string_append(s, "/>\n");
    }
    format_list(s, "blockjob", rec->blockjobs, job_rows, N_ELEMENTS(job_rows));
    format_list(s, "verdict", rec->verdicts, verdict_rows, N_ELEMENTS(verdict_rows));
    g_string_append(s, def);
    g_string_append(s, "</berthstatus>\n");
    return g_string_free(g_steal_pointer(&s), FALSE);
}

int status_save(const char *run_dir, const StatusRecord *rec, Err *err)
{
    g_autofree char *text = status_format(rec);
    g_autofree char *path = defs_path(run_dir, rec->live->name);
    int r = file_replace(path, text, strlen(text), 0600, 0);
    if (r < 0)
        return err_set_errno(err, -r, "cannot write the status file '%s'", path);
    return 0;
}

static xmlNode *child_named(xmlNode *parent, const char *name)
{
    for (xmlNode *n = parent->children; n; n = n->next) {
        if (n->type == XML_ELEMENT_NODE && strcmp((const char *)n->name, name) == 0)
            return n;
    }
    return NULL;
}

static int parse_machine(xmlNode *root, StatusRecord *rec, Err *err)
{
    xmlNode *machine = child_named(root, "machine"), *domain = child_named(root, "domain");
    if (!machine || !domain)
        return err_set(err, VIR_ERR_XML_ERROR, "element <%s> is missing", machine ? "domain" : "machine");
    for (unsigned i = 0; i < N_ELEMENTS(rows); i++) {
        if (row_parse(rec, &rows[i], machine, err) < 0)
            return -1;
    }
    if (rec->pid <= 1)
        return err_set(err, VIR_ERR_XML_ERROR, "pid %d", (int)rec->pid);
    if (rec->id < 1 || rec->id > STATUS_ID_MAX)
        return err_set(err, VIR_ERR_XML_ERROR, "id %d", rec->id);
    if (rec->state < 0 || rec->state > VIR_DOMAIN_PMSUSPENDED || rec->reason < 0)
        return err_set(err, VIR_ERR_XML_ERROR, "state %d, reason %d", rec->state, rec->reason);
    g_autoptr(GPtrArray) taps = g_ptr_array_new_with_free_func(g_free);
    for (xmlNode *n = root->children; n; n = n->next) {
        if (n->type != XML_ELEMENT_NODE || strcmp((const char *)n->name, "tap") != 0)
            continue;
        xmlChar *name = xmlGetNoNsProp(n, (const xmlChar *)"name");
        if (name)
            g_ptr_array_add(taps, g_strdup((const char *)name));
        xmlFree(name);
    }
    if (taps->len) {
        g_ptr_array_add(taps, NULL);
        rec->taps = g_strdupv((char **)taps->pdata);
    }
    if (parse_list(root, "blockjob", &rec->blockjobs, sizeof(StatusBlockJob), free_blockjob, job_rows, N_ELEMENTS(job_rows), err) < 0 ||
        parse_list(root, "verdict", &rec->verdicts, sizeof(JobVerdict), free_verdict, verdict_rows, N_ELEMENTS(verdict_rows), err) < 0)
        return -1;
    xmlBuffer *buf = xmlBufferCreate();
    xmlNodeDump(buf, root->doc, domain, 0, 0);
    rec->live = domain_def_parse((const char *)xmlBufferContent(buf), PARSE_STATUS | PARSE_OWN, NULL, err);
    xmlBufferFree(buf);
    return rec->live ? domain_def_check_whole(rec->live, err) : -1;
}

/* Ours, and of a format we read. */
static StatusRead recognise(xmlNode *root, const char *path, Err *err)
{
    if (strcmp((const char *)root->name, "berthstatus") != 0) {
        err_set(err, VIR_ERR_OPERATION_INVALID, "status file '%s' belongs to another daemon (element <%s>)", path,
                (const char *)root->name);
        err_hint(err, "the machine it is about is left alone; stop it with the daemon that started it");
        return STATUS_FOREIGN;
    }
    xmlChar *format = xmlGetNoNsProp(root, (const xmlChar *)"format");
    bool known = format && strcmp((const char *)format, G_STRINGIFY(STATUS_FORMAT)) == 0;
    if (!known)
        err_set(err, VIR_ERR_OPERATION_INVALID, "status file '%s' has format %s, this daemon reads %d", path,
                format ? (const char *)format : "-", STATUS_FORMAT);
    xmlFree(format);
    return known ? STATUS_OK : STATUS_FOREIGN;
}

StatusRead status_parse(const char *text, size_t len, const char *path, StatusRecord *ret, Err *err)
{
    g_autoptr(xmlDoc) doc = xml_parse_own(text, len, "(status)", err);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    if (!root) {
        if (doc)
            err_set(err, VIR_ERR_XML_ERROR, "no root element");
        err_wrap(err, "status file '%s'", path);
        return STATUS_BAD;
    }
    StatusRead how = recognise(root, path, err);
    if (how != STATUS_OK)
        return how;
    g_auto(StatusRecord) rec = {0};
    if (parse_machine(root, &rec, err) < 0) {
        err_wrap(err, "status file '%s'", path);
        return STATUS_BAD;
    }
    *ret = rec;
    rec = (StatusRecord){0};
    return STATUS_OK;
}

StatusRead status_load(const char *run_dir, const char *name, StatusRecord *ret, Err *err)
{
    g_autofree char *path = defs_path(run_dir, name);
    g_autofree char *text = NULL;
    size_t len;
    int r = file_read(path, XML_OWN_BYTES, &text, &len);
    if (r == -ENOENT)
        return STATUS_MISSING;
    if (r < 0) {
        err_set_errno(err, -r, "cannot read the status file '%s'", path);
        return STATUS_BAD;
    }
    StatusRead how = status_parse(text, len, path, ret, err);
    if (how == STATUS_OK && strcmp(ret->live->name, name) != 0) {
        err_set(err, VIR_ERR_XML_ERROR, "status file '%s' is of a machine named '%s'", path, ret->live->name);
        status_record_clear(ret);
        return STATUS_BAD;
    }
    return how;
}

int status_pid_file(const char *run_dir, const char *name, pid_t pid)
{
    g_autofree char *path = g_strdup_printf("%s/%s.pid", run_dir, name);
    if (pid == 0)
        return file_remove(path, 0);
    g_autofree char *text = g_strdup_printf("%d\n", (int)pid);
    return file_replace(path, text, strlen(text), 0644, 0);
}

int status_remove(const char *run_dir, const char *name, Err *err)
{
    g_autofree char *path = defs_path(run_dir, name);
    int r = file_remove(path, 0);
    if (r < 0)
        return err_set_errno(err, -r, "cannot remove the status file '%s'", path);
    return 0;
}

void status_record_clear(StatusRecord *rec)
{
    domain_def_unref(rec->live);
    g_free(rec->boot_id);
    g_free(rec->monitor_path);
    g_free(rec->private_dir);
    g_free(rec->log_path);
    g_free(rec->cgroup);
    g_strfreev(rec->taps);
    g_clear_pointer(&rec->blockjobs, g_ptr_array_unref);
    g_clear_pointer(&rec->verdicts, g_ptr_array_unref);
    g_free(rec->job_what);
    *rec = (StatusRecord){0};
}
