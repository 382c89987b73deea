/* util/err.h - the one error object
 *
 * A function that can fail takes `Err *err` last and returns -1 or NULL after setting it, once.  A caller that adds context on the
 * way up uses err_wrap().  `err` may be NULL where the caller does not care.  Layers from model upward use this; leaf helpers of
 * util return a negative errno instead.
 */
#pragma once

#include "base.h"
#include "errors.h"

/* The origin (VIR_FROM_*) of errors set in a file; define before including this header to differ. */
#ifndef ERR_FROM
#define ERR_FROM VIR_FROM_QEMU
#endif

typedef struct Err {
    int code;       /* VIR_ERR_*; VIR_ERR_OK: nothing set */
    int domain;     /* VIR_FROM_* */
    int level;      /* VIR_ERR_ERROR */
    int os_errno;   /* errno behind it, or 0 */
    bool bare;      /* the message is the detail alone, without the code's fixed words */
    char *detail;   /* what failed and why, without the code's fixed prefix */
    char *hint;     /* what the operator can do next, or NULL */
    char *object;   /* name of the object concerned, or NULL */
    char *phase;    /* what was being done ("starting QEMU"), or NULL */
} Err;

#define ERR_INIT ((Err){0})

/* Sets code and printf-style detail.  The first error wins: setting a set object changes nothing (and aborts in fault builds).
 * Returns -1, so that `return err_set(...)` reads well. */
#define err_set(err, code, ...) err_set_full((err), ERR_FROM, (code), 0, __VA_ARGS__)
/* VIR_ERR_SYSTEM_ERROR with ": strerror" appended and int1 = errnum (positive). */
#define err_set_errno(err, errnum, ...) err_set_system((err), ERR_FROM, (errnum), __VA_ARGS__)

/* VIR_ERR_INVALID_ARG in the form the public API layer of libvirt uses for most bad arguments: without "invalid argument: ". */
#define err_set_arg(err, ...) err_set_bare((err), ERR_FROM, VIR_ERR_INVALID_ARG, __VA_ARGS__)

int err_set_bare(Err *err, int domain, int code, const char *fmt, ...) PRINTF_LIKE(4, 5);
int err_set_full(Err *err, int domain, int code, int os_errno, const char *fmt, ...) PRINTF_LIKE(5, 6);
int err_set_system(Err *err, int domain, int errnum, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Puts "context: " before the detail.  No effect on an unset error.  Returns -1. */
int err_wrap(Err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Sets the next step for the operator; it ends the message shown to clients.  Returns -1. */
int err_hint(Err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
void err_set_object(Err *err, const char *object);
void err_set_phase(Err *err, const char *phase);

static inline bool err_is_set(const Err *err)
{
    return err && err->code != VIR_ERR_OK;
}

/* Frees what it holds and makes it unset again. */
void err_clear(Err *err);
/* Moves src into dest (dest must be unset); src becomes unset. */
void err_move(Err *dest, Err *src);
/* The finished text as clients print it: fixed words of the code, detail, hint.  Caller frees. */
char *err_message(const Err *err);
/* Fixed words of a code and how a detail joins them (util/err_text.c); template is what goes into str1 on the wire. */
const char *err_code_template(int code, bool with_detail);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Err, err_clear)
