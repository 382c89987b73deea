/* tests/fuzz/fuzz_image.c - fuzz target: headers of disk images, which a guest can write
 *
 * Owns:    the input format: a byte that chooses the format, then the first bytes of the image
 * Threads: one
 * Locks:   none
 * Errors:  aborts when a refusal has no words, or a name out of the header is not a name
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "host/image.h"

#define IMAGE_PATH "/images/i"

static void check_name(const char *name)
{
    fuzz_check(!name || (*name && strlen(name) < IMAGE_MAX_PATH && !strchr(name, '\n') && g_utf8_validate(name, -1, NULL)), "not a name");
}

/* It will stand in a definition. */
static void check_text(const char *s)
{
    for (; s && *s; s++)
        fuzz_check(!g_ascii_iscntrl(*s), "a control character");
}

/* What comes of the backing file it names. */
static void check_backing(ImageHeader *h)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(ImageNbd) nbd = image_backing_nbd(h);
    fuzz_check(!nbd || ((nbd->host || nbd->socket) && nbd->name && nbd->port <= 65535), "a server without a place");
    if (nbd) {
        check_text(nbd->host);
        check_text(nbd->socket);
        check_text(nbd->name);
        return;
    }
    g_autofree char *path = image_backing_path(IMAGE_PATH, h, &err);
    fuzz_check(path || err.detail, "a backing file refused without words");
    if (!path)
        return;
    check_text(path);
    fuzz_check(path[0] == '/', "a backing file that is not absolute");
    ImageFmt fmt = IMAGE_FMT_NONE;
    g_auto(Err) fmt_err = ERR_INIT;
    int r = image_backing_format(IMAGE_PATH, h, path, IMAGE_FMT_RAW, &fmt, &fmt_err);
    fuzz_check(r == 0 ? fmt > IMAGE_FMT_NONE && fmt < IMAGE_FMT_MAX : fmt_err.detail != NULL, "a backing file of no format");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    ImageHeader h = {0};
    g_auto(Err) err = ERR_INIT;
    /* a copy from the first byte of the image on, as a read before it is a fault too */
    g_autofree uint8_t *copy = size > 1 ? g_memdup2(data + 1, size - 1) : NULL;
    if (image_header_parse(copy, size - 1, data[0] % IMAGE_FMT_MAX, IMAGE_PATH, &h, &err) < 0) {
        fuzz_check(err.detail != NULL && !h.backing && !h.data_file && !h.backing_fmt_name, "a header refused without words, or with leavings");
        return 0;
    }
    check_name(h.backing);
    check_name(h.backing_fmt_name);
    check_name(h.data_file);
    if (h.backing)
        check_backing(&h);
    image_header_clear(&h);
    return 0;
}

const char *const fuzz_dirs[] = {"tests/fuzz/corpus/image", NULL};

static void put_be32(GByteArray *a, uint32_t v)
{
    uint32_t be = GUINT32_TO_BE(v);
    g_byte_array_append(a, (const uint8_t *)&be, sizeof(be));
}

/* A qcow2 header with backing file and its format; in corpus/image are the ones qemu-img makes. */
uint8_t *fuzz_seed(unsigned i, size_t *ret_size)
{
    static const char *const backing[] = {
        "base", "/base", "file:base", "nbd://h/e", "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"b\"}}",
        "json:{\"file.filename\":\"b\"}",
        "nbd:h:1:exportname=e", "nbd:unix:/s", "nbd+unix:///e?socket=/s",
        "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"nbd\",\"server\":{\"type\":\"inet\",\"host\":\"h\",\"port\":\"1\"},\"export\":\"e\"}}",
        "json:{\"driver\":\"nbd\",\"server.type\":\"unix\",\"server.path\":\"/s\"}",
    };
    if (i >= N_ELEMENTS(backing))
        return NULL;
    g_autoptr(GByteArray) a = g_byte_array_new();
    g_byte_array_append(a, (const uint8_t *)(i % 2 ? "\x03" : "\0"), 1);
    uint32_t name_at = 104 + 16 + 16 + 8, head[] = {3, 0, name_at, (uint32_t)strlen(backing[i]), 16, 0, 1 << 20, 0};
    g_byte_array_append(a, (const uint8_t *)"QFI\xfb", 4);
    for (unsigned k = 0; k < N_ELEMENTS(head); k++)
        put_be32(a, head[k]);
    g_byte_array_set_size(a, 1 + 104);
    memset(a->data + 1 + 36, 0, 104 - 36);
    a->data[1 + 103] = 104;
    put_be32(a, 0xE2792ACA);
    put_be32(a, 5);
    g_byte_array_append(a, (const uint8_t *)"qcow2\0\0\0", 8);
    put_be32(a, 0x44415441);
    put_be32(a, 3);
    g_byte_array_append(a, (const uint8_t *)"raw\0\0\0\0\0", 8);
    put_be32(a, 0);
    put_be32(a, 0);
    g_byte_array_append(a, (const uint8_t *)backing[i], (guint)strlen(backing[i]));
    *ret_size = a->len;
    return g_memdup2(a->data, a->len);
}
