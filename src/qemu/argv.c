/* qemu/argv.c - the command line as a whole
 *
 * Owns:    the order of QEMU's arguments, the environment, the numbers of inherited descriptors, quoting
 * Errors:  from the families
 */
#include "config.h"

#include <ctype.h>
#include <string.h>

#include "qemu/build.h"
#include "util/uuid.h"

void opts_escape(GString *s, const char *value)
{
    for (const char *p = value; *p; p++) {
        if (*p == ',')
            g_string_append_c(s, ',');
        g_string_append_c(s, *p);
    }
}

void argv_add(ArgvBuild *b, const char *option, const char *value)
{
    if (option == NULL)
        return;
    g_ptr_array_add(b->a->args, g_strdup(option));
    if (value)
        g_ptr_array_add(b->a->args, g_strdup(value));
}

void argv_addf(ArgvBuild *b, const char *option, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *value = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    argv_add(b, option, value);
}

void argv_add_json(ArgvBuild *b, const char *option, json_t *props)
{
    if (props == NULL)
        return;
    g_autofree char *text = props_text(props);
    json_decref(props);
    argv_add(b, option, text);
}

int argv_plan_fd(ArgvBuild *b, ArgvFdKind kind, int flags, const char *path, const char *alias)
{
    ArgvFd f = {
        .kind = kind,
        .target = b->next_fd++,
        .fdset = -1,
        .flags = flags,
        .path = g_strdup(path),
        .alias = g_strdup(alias),
    };
    g_array_append_val(b->a->fds, f);
    return f.target;
}

int argv_plan_fdset(ArgvBuild *b, int set, int flags, const char *path, const char *opaque)
{
    int n = argv_plan_fd(b, ARGV_FD_FILE, flags, path, opaque);
    g_array_index(b->a->fds, ArgvFd, b->a->fds->len - 1).fdset = set;
    argv_addf(b, "-add-fd", "set=%d,fd=%d,opaque=%s", set, n, opaque);
    return n;
}

static void fd_clear(void *p)
{
    ArgvFd *f = p;
    g_free(f->path);
    g_free(f->alias);
}

static Argv *argv_new(void)
{
    Argv *a = g_new0(Argv, 1);
    a->args = g_ptr_array_new_with_free_func(g_free);
    a->env = g_ptr_array_new_with_free_func(g_free);
    a->fds = g_array_new(FALSE, TRUE, sizeof(ArgvFd));
    g_array_set_clear_func(a->fds, fd_clear);
    return a;
}

Argv *qemu_argv_free(Argv *a)
{
    if (a) {
        g_ptr_array_unref(a->args);
        g_ptr_array_unref(a->env);
        g_array_unref(a->fds);
        g_free(a);
    }
    return NULL;
}

/* ---- the parts that belong to no family -------------------------------------------------------------------------------------- */

static void build_env(ArgvBuild *b)
{
    const char *dir = b->env->private_dir ? b->env->private_dir : "/";
    GPtrArray *e = b->a->env;
    g_ptr_array_add(e, g_strdup("LC_ALL=C"));
    g_ptr_array_add(e, g_strdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    /* whatever a library of QEMU's wants to keep stays in the guest's own directory */
    g_ptr_array_add(e, g_strdup_printf("HOME=%s", dir));
    g_ptr_array_add(e, g_strdup_printf("XDG_DATA_HOME=%s/.local/share", dir));
    g_ptr_array_add(e, g_strdup_printf("XDG_CACHE_HOME=%s/.cache", dir));
    g_ptr_array_add(e, g_strdup_printf("XDG_CONFIG_HOME=%s/.config", dir));
    if (b->def->clock.offset == CLOCK_TIMEZONE && b->def->clock.timezone)
        g_ptr_array_add(e, g_strdup_printf("TZ=%s", b->def->clock.timezone));
    for (unsigned i = 0; b->def->qemu_env && i < b->def->qemu_env->len; i++)
        g_ptr_array_add(e, g_strdup(b->def->qemu_env->pdata[i]));
}

static void build_head(ArgvBuild *b)
{
    g_autoptr(GString) name = g_string_new("guest=");
    opts_escape(name, b->def->name);
    g_string_append(name, ",debug-threads=on");
    g_ptr_array_add(b->a->args, g_strdup(b->def->emulator));
    argv_add(b, "-name", name->str);
    argv_add(b, "-S", NULL);
}

static void build_monitor(ArgvBuild *b)
{
    /* without a display of its own QEMU would open a window where it was built with one */
    if (b->def->graphics->len == 0)
        argv_add(b, "-display", "none");
    argv_add(b, "-no-user-config", NULL);
    argv_add(b, "-nodefaults", NULL);
    g_autofree char *path = g_strdup_printf("%s/monitor.sock", b->env->private_dir ? b->env->private_dir : "");
    if (build_native(b)) {
        g_autoptr(GString) s = g_string_new("socket,id=charmonitor,path=");
        opts_escape(s, path);
        g_string_append(s, ",server=on,wait=off");
        argv_add(b, "-chardev", s->str);
    } else {
        int fd = argv_plan_fd(b, ARGV_FD_MONITOR, 0, path, "monitor");
        argv_addf(b, "-chardev", "socket,id=charmonitor,fd=%d,server=on,wait=off", fd);
    }
    argv_add(b, "-mon", "chardev=charmonitor,id=monitor,mode=control");
}

static void build_tail(ArgvBuild *b)
{
    const QemuConfig *c = b->env->config;
    if ((c == NULL || c->seccomp_sandbox != 0) && (b->env->caps == NULL || qemu_caps_has(b->env->caps, QEMU_CAP_SANDBOX)))
        argv_add(b, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    if (c == NULL || c->log_timestamp)
        argv_add(b, "-msg", "timestamp=on");
    for (unsigned i = 0; b->def->qemu_args && i < b->def->qemu_args->len; i++)
        argv_add(b, b->def->qemu_args->pdata[i], NULL);
}

static int build_all(ArgvBuild *b, Err *err)
{
    build_env(b);
    build_head(b);
    if (argv_machine(b, err) < 0)
        return -1;
    build_monitor(b);
    if (argv_clock(b, err) < 0)
        return -1;
    argv_add(b, "-no-shutdown", NULL);
    if (argv_boot(b, err) < 0 || argv_controllers(b, err) < 0 || argv_disks(b, err) < 0 || argv_nets(b, err) < 0 ||
        argv_chrs(b, err) < 0 || argv_graphics(b, err) < 0 || argv_misc(b, err) < 0)
        return -1;
    build_tail(b);
    return 0;
}

Argv *qemu_argv_build(const DomainDef *def, const ArgvEnv *env, Err *err)
{
    g_autoptr(Argv) a = argv_new();
    ArgvBuild b = {.a = a, .def = def, .env = env, .next_fd = ARGV_FIRST_FD, .next_fdset = FDSET_OTHERS};
    if (def->emulator == NULL) {
        err_set(err, VIR_ERR_INTERNAL_ERROR, "the definition has no emulator");
        return NULL;
    }
    if (build_all(&b, err) < 0)
        return NULL;
    g_ptr_array_add(a->args, NULL);
    g_ptr_array_add(a->env, NULL);
    return g_steal_pointer(&a);
}

/* ---- text -------------------------------------------------------------------------------------------------------------------- */

static void append_quoted(GString *s, const char *arg)
{
    static const char plain[] = "%+,-./:=@_"; /* beside letters and digits: nothing to a shell */
    bool quote = *arg == '\0';
    for (const char *p = arg; *p && !quote; p++)
        quote = !g_ascii_isalnum(*p) && strchr(plain, *p) == NULL;
    if (!quote) {
        g_string_append(s, arg);
        return;
    }
    g_string_append_c(s, '\'');
    for (const char *p = arg; *p; p++) {
        if (*p == '\'')
            g_string_append(s, "'\\''");
        else
            g_string_append_c(s, *p);
    }
    g_string_append_c(s, '\'');
}

/* "NAME=value" keeps its name outside the quotes. */
static void append_env(GString *s, const char *env)
{
    const char *eq = strchr(env, '=');
    if (eq == NULL) {
        append_quoted(s, env);
        return;
    }
    g_string_append_len(s, env, eq - env + 1);
    append_quoted(s, eq + 1);
}

char *qemu_argv_to_string(const Argv *a, bool multiline)
{
    GString *s = g_string_new(NULL);
    const char *between = multiline ? " \\\n" : " ";
    for (unsigned i = 0; i < a->env->len && a->env->pdata[i]; i++) {
        append_env(s, a->env->pdata[i]);
        g_string_append(s, between);
    }
    for (unsigned i = 0; i < a->args->len && a->args->pdata[i]; i++) {
        const char *arg = a->args->pdata[i];
        if (i > 0)
            g_string_append(s, arg[0] == '-' ? between : " ");
        append_quoted(s, arg);
    }
    return g_string_free(s, FALSE);
}
