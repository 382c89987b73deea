/* store/job_history.c - how block jobs ended
 *
 * Owns:    the files' format, our own, with its number inside
 * Threads: workers (blocks on storage)
 * Locks:   none
 * Errors:  VIR_ERR_SYSTEM_ERROR with the path; a broken file is logged
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LOG_AREA "store.jobs"
#include "util/file.h"
#include "util/log.h"
#include "util/uuid.h"
#include "util/xml.h"
#include "store/job_history.h"

#define FORMAT "1"
#define FILE_MAX (2u << 20) /* JOB_HISTORY_MAX texts, each character of them escaped */
#define TEXT_MAX 4096u /* of an error kept */

void job_verdict_free(JobVerdict *v)
{
    if (!v)
        return;
    g_free(v->id);
    g_free(v->kind);
    g_free(v->disk);
    g_free(v->error);
    g_free(v);
}

static void free_one(void *p)
{
    job_verdict_free(p);
}

JobVerdict *job_verdict_copy(const JobVerdict *v)
{
    JobVerdict *copy = g_memdup2(v, sizeof(*v));
    copy->id = g_strdup(v->id);
    copy->kind = g_strdup(v->kind);
    copy->disk = g_strdup(v->disk);
    copy->error = g_strdup(v->error);
    return copy;
}

bool job_verdict_same(const JobVerdict *a, const JobVerdict *b)
{
    return a->begun_us == b->begun_us && strcmp(a->id, b->id) == 0;
}

static char *path_of(const char *base, const uint8_t uuid[UUID_LEN])
{
    char text[UUID_STRING_LEN];
    uuid_format(uuid, text);
    return g_strdup_printf("%s/%s.xml", base, text);
}

/* Caller frees; NULL when absent. */
static char *attr(xmlNode *n, const char *name)
{
    xmlChar *raw = xmlGetNoNsProp(n, (const xmlChar *)name);
    char *text = g_strdup((const char *)raw);
    xmlFree(raw);
    return text;
}

static bool number(xmlNode *n, const char *name, uint64_t max, uint64_t *ret)
{
    g_autofree char *text = attr(n, name);
    guint64 v;
    if (!text || !g_ascii_string_to_unsigned(text, 10, 0, max, &v, NULL))
        return false;
    *ret = v;
    return true;
}

/* NULL: not one. */
static JobVerdict *parse_one(xmlNode *n)
{
    JobVerdict *v = g_new0(JobVerdict, 1);
    uint64_t type, status;
    *v = (JobVerdict){.id = attr(n, "id"), .kind = attr(n, "kind"), .disk = attr(n, "disk"), .error = attr(n, "error")};
    if (v->id && v->kind && v->disk && number(n, "type", INT32_MAX, &type) && number(n, "status", INT32_MAX, &status) &&
        number(n, "begun", UINT64_MAX, &v->begun_us) && number(n, "ended", UINT64_MAX, &v->ended_us) &&
        number(n, "bytes", UINT64_MAX, &v->bytes)) {
        v->type = (int)type;
        v->status = (int)status;
        return v;
    }
    job_verdict_free(v);
    return NULL;
}

static int parse(const char *text, size_t len, GPtrArray *all, Err *err)
{
    g_autoptr(xmlDoc) doc = xml_parse_own(text, len, "(block jobs)", err);
    if (!doc)
        return -1;
    xmlNode *root = xmlDocGetRootElement(doc);
    g_autofree char *format = attr(root, "format");
    if (strcmp((const char *)root->name, "jobhistory") != 0 || g_strcmp0(format, FORMAT) != 0)
        return err_set(err, VIR_ERR_XML_ERROR, "not a history in this daemon's format");
    for (xmlNode *n = root->children; n && all->len < JOB_HISTORY_MAX; n = n->next) {
        JobVerdict *v = n->type == XML_ELEMENT_NODE ? parse_one(n) : NULL;
        if (v)
            g_ptr_array_add(all, v);
    }
    return 0;
}

GPtrArray *job_history_load(const char *base, const uint8_t uuid[UUID_LEN])
{
    GPtrArray *all = g_ptr_array_new_with_free_func(free_one);
    g_autofree char *path = path_of(base, uuid), *text = NULL;
    g_auto(Err) err = ERR_INIT;
    size_t len;
    int r = file_read(path, FILE_MAX, &text, &len);
    if (r == -ENOENT)
        return all;
    if (r < 0)
        err_set_errno(&err, -r, "cannot read");
    if (r < 0 || parse(text, len, all, &err) < 0)
        log_error("how block jobs ended is not known any more: '%s': %s", path, err.detail);
    return all;
}

static void format_one(XmlWriter *w, const JobVerdict *v)
{
    xml_begin(w, "job");
    xml_attr(w, "id", v->id);
    xml_attr(w, "kind", v->kind);
    xml_attr(w, "disk", v->disk);
    xml_attrf(w, "type", "%d", v->type);
    xml_attrf(w, "status", "%d", v->status);
    xml_attrf(w, "begun", "%" PRIu64, v->begun_us);
    xml_attrf(w, "ended", "%" PRIu64, v->ended_us);
    xml_attrf(w, "bytes", "%" PRIu64, v->bytes);
    if (v->error && strlen(v->error) > TEXT_MAX)
        xml_attrf(w, "error", "%.*s", (int)TEXT_MAX, v->error);
    else
        xml_attr(w, "error", v->error);
    xml_end(w);
}

/* False: nothing is new. */
static bool merge(GPtrArray *all, const GPtrArray *more)
{
    bool any = false;
    for (unsigned i = 0; i < more->len; i++) {
        const JobVerdict *v = more->pdata[i];
        bool known = false;
        for (unsigned k = 0; k < all->len && !known; k++)
            known = job_verdict_same(all->pdata[k], v);
        if (!known)
            g_ptr_array_add(all, job_verdict_copy(v));
        any = any || !known;
    }
    if (all->len > JOB_HISTORY_MAX)
        g_ptr_array_remove_range(all, 0, all->len - JOB_HISTORY_MAX);
    return any;
}

int job_history_add(const char *base, const uint8_t uuid[UUID_LEN], const GPtrArray *verdicts, Err *err)
{
    g_autoptr(GPtrArray) all = job_history_load(base, uuid);
    if (!merge(all, verdicts))
        return 0;
    XmlWriter w;
    xml_writer_init(&w);
    xml_begin(&w, "jobhistory");
    xml_attr(&w, "format", FORMAT);
    for (unsigned i = 0; i < all->len; i++)
        format_one(&w, all->pdata[i]);
    xml_end(&w);
    g_autofree char *text = xml_writer_steal(&w);
    g_autofree char *path = path_of(base, uuid);
    int r = dir_make_durable(base, 0700);
    if (r == 0)
        r = file_replace(path, text, strlen(text), 0600, FILE_DURABLE);
    return r < 0 ? err_set_errno(err, -r, "cannot write '%s'", path) : 0;
}

int job_history_remove(const char *base, const uint8_t uuid[UUID_LEN], Err *err)
{
    g_autofree char *path = path_of(base, uuid);
    int r = file_remove(path, FILE_DURABLE);
    return r < 0 ? err_set_errno(err, -r, "cannot remove '%s'", path) : 0;
}
