/* qmp/codec.h - JSON lines from an untrusted peer
 *
 * Incremental: bytes may come in any portions.  A line longer, deeper or fuller than the limits is refused while it is read, before anything
 * of that size is allocated or parsed.
 */
#pragma once

#include <jansson.h>

#include "util/err.h"

#define QMP_MAX_LINE (16u << 20)
/* QEMU describes an image with the one behind it inside: a chain may have 200 (host/image.h). */
#define QMP_MAX_DEPTH 512u
/* Values in one message: short ones ("[0,0,0…") take ten times their text in memory. */
#define QMP_MAX_VALUES (1u << 20)

typedef struct QmpCodec {
    size_t max_line;
    unsigned max_depth;
    char *line; /* the unfinished line */
    size_t len, cap;
    struct QmpScan {
        unsigned depth, values;
        bool in_string, escaped;
    } scan; /* of what there is of it */
} QmpCodec;

/* Takes one message, borrowed.  Returning false stops the feed: what follows is dropped. */
typedef bool (*QmpMessageFunc)(void *userdata, json_t *msg);

void qmp_codec_init(QmpCodec *q, size_t max_line, unsigned max_depth);
void qmp_codec_done(QmpCodec *q);
/* Calls fn for each whole message.  0, or -1 with Err (VIR_ERR_INTERNAL_ERROR): the stream is unusable from here on. */
int qmp_codec_feed(QmpCodec *q, const char *data, size_t len, QmpMessageFunc fn, void *userdata, Err *err);
/* Parses one JSON text under the depth limit.  Integers of 2^63 and more, which QEMU writes for 64-bit unsigned values, come out with
 * the same bits as negative ones: read them by (uint64_t)json_integer_value().  Strings may hold NUL, which QEMU makes of some bytes an
 * image's author chose.  New reference, or NULL with Err. */
json_t *qmp_json_parse(const char *text, size_t len, unsigned max_depth, Err *err);
