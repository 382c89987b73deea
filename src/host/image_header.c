/* host/image_header.c - what the first bytes of a disk image say
 *
 * Owns:    the layouts of image headers
 * Threads: any; pure
 * Errors:  VIR_ERR_OPERATION_FAILED naming path and what is wrong
 *
 * The bytes come from whoever can write the image, which may be a guest: every offset and length is checked against what was read.
 */
#include "config.h"

#include <string.h>

#include "host/image.h"

const char *const image_fmt_names[] = {
    NULL, "raw", "qcow", "qcow2", "qed", "vmdk", "vdi", "vpc", "vhdx", "luks", "parallels", "dmg", "bochs", "cloop",
};
G_STATIC_ASSERT(N_ELEMENTS(image_fmt_names) == IMAGE_FMT_MAX);

ImageFmt image_fmt_find(const char *name)
{
    for (int i = 1; name && i < IMAGE_FMT_MAX; i++) {
        if (strcmp(image_fmt_names[i], name) == 0)
            return (ImageFmt)i;
    }
    return IMAGE_FMT_NONE;
}

void image_header_clear(ImageHeader *h)
{
    g_clear_pointer(&h->backing, g_free);
    g_clear_pointer(&h->backing_fmt_name, g_free);
    g_clear_pointer(&h->data_file, g_free);
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t be64(const uint8_t *p)
{
    return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static uint64_t le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return GUINT64_FROM_LE(v);
}

static uint32_t le32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return GUINT32_FROM_LE(v);
}

/* A name inside the image: text without control characters, as it will stand in the definition and in messages.  NULL when it is not. */
static char *take_name(const uint8_t *p, size_t len)
{
    if (len == 0 || len >= IMAGE_MAX_PATH || !g_utf8_validate((const char *)p, (gssize)len, NULL))
        return NULL;
    for (size_t i = 0; i < len; i++) {
        if (g_ascii_iscntrl((char)p[i]))
            return NULL;
    }
    return g_strndup((const char *)p, len);
}

static int damaged(const char *path, const char *fmt_name, const char *what, Err *err)
{
    return err_set(err, VIR_ERR_OPERATION_FAILED, "image '%s' is damaged or no %s image: %s", path, fmt_name, what);
}

/* ---- magic ------------------------------------------------------------------------------------------------------------------- */

typedef struct Magic {
    ImageFmt fmt;
    size_t offset;
    const char *bytes;
    size_t len;
} Magic;

static const Magic magics[] = {
    {IMAGE_FMT_QED, 0, "QED\0", 4},
    {IMAGE_FMT_VMDK, 0, "KDMV", 4},
    {IMAGE_FMT_VMDK, 0, "COWD", 4},
    {IMAGE_FMT_VMDK, 0, "# Disk DescriptorFile", 21},
    {IMAGE_FMT_VDI, 64, "\x7f\x10\xda\xbe", 4},
    {IMAGE_FMT_VPC, 0, "conectix", 8},
    {IMAGE_FMT_VHDX, 0, "vhdxfile", 8},
    {IMAGE_FMT_LUKS, 0, "LUKS\xba\xbe", 6},
    {IMAGE_FMT_PARALLELS, 0, "WithoutFreeSpace", 16},
    {IMAGE_FMT_PARALLELS, 0, "WithouFreSpacExt", 16},
    {IMAGE_FMT_BOCHS, 0, "Bochs Virtual HD Image", 22},
    {IMAGE_FMT_CLOOP, 0, "#!/bin/sh\n#V2.0 Format", 22},
};

ImageFmt image_fmt_by_magic(const uint8_t *data, size_t len)
{
    if (len >= 8 && memcmp(data, "QFI\xfb", 4) == 0)
        return be32(data + 4) == 1 ? IMAGE_FMT_QCOW : IMAGE_FMT_QCOW2;
    for (unsigned i = 0; i < N_ELEMENTS(magics); i++) {
        const Magic *m = &magics[i];
        if (len >= m->offset + m->len && memcmp(data + m->offset, m->bytes, m->len) == 0)
            return m->fmt;
    }
    return IMAGE_FMT_RAW;
}

/* ---- qcow, qcow2 ------------------------------------------------------------------------------------------------------------- */

enum {
    QCOW2_V2_HEADER = 72,
    QCOW2_V3_HEADER = 104,
    QCOW2_EXT_END = 0,
    QCOW2_EXT_BACKING_FORMAT = (int)0xE2792ACA,
    QCOW2_EXT_DATA_FILE = 0x44415441,
};
#define QCOW2_INCOMPAT_DATA_FILE (UINT64_C(1) << 2)

/* Walks the header extensions that lie between the header and the backing file's name. */
static int qcow2_extensions(const uint8_t *data, size_t end, size_t at, const char *path, ImageHeader *h, Err *err)
{
    while (at + 8 <= end) {
        uint32_t type = be32(data + at);
        uint32_t size = be32(data + at + 4);
        at += 8;
        if (type == QCOW2_EXT_END)
            return 0;
        if (size > end - at)
            return damaged(path, "qcow2", "a header extension reaches beyond the header", err);
        if (type == (uint32_t)QCOW2_EXT_BACKING_FORMAT) {
            g_free(h->backing_fmt_name);
            h->backing_fmt_name = take_name(data + at, size);
            if (h->backing_fmt_name == NULL)
                return damaged(path, "qcow2", "the backing file's format is no name", err);
            h->backing_fmt = image_fmt_find(h->backing_fmt_name);
        } else if (type == QCOW2_EXT_DATA_FILE) {
            g_free(h->data_file);
            h->data_file = take_name(data + at, size);
            if (h->data_file == NULL)
                return damaged(path, "qcow2", "the data file's name is no name", err);
        }
        at += ((size_t)size + 7) & ~(size_t)7;
    }
    return 0; /* no end mark: the area ends with the cluster */
}

static int qcow2_parse(const uint8_t *data, size_t len, const char *path, ImageHeader *h, Err *err)
{
    if (len < QCOW2_V2_HEADER)
        return damaged(path, "qcow2", "it is too short", err);
    if (memcmp(data, "QFI\xfb", 4) != 0)
        return damaged(path, "qcow2", "it does not start with the format's mark", err);
    h->version = be32(data + 4);
    if (h->version != 2 && h->version != 3)
        return damaged(path, "qcow2", h->version == 1 ? "it is an image of the old qcow format" : "its version is not 2 or 3", err);
    uint64_t backing_at = be64(data + 8);
    uint32_t backing_len = be32(data + 16);
    uint32_t cluster_bits = be32(data + 20);
    h->virtual_size = be64(data + 24);
    h->encrypted = be32(data + 32) != 0;
    if (cluster_bits < 9 || cluster_bits > 21)
        return damaged(path, "qcow2", "its cluster size is out of range", err);
    h->cluster_size = 1u << cluster_bits;

    size_t header = QCOW2_V2_HEADER;
    uint64_t incompat = 0;
    if (h->version == 3) {
        if (len < QCOW2_V3_HEADER)
            return damaged(path, "qcow2", "it is too short", err);
        incompat = be64(data + 72);
        header = be32(data + 100);
        if (header < QCOW2_V3_HEADER || header > len || header > h->cluster_size)
            return damaged(path, "qcow2", "its header's length is out of range", err);
    }
    size_t end = MIN(len, (size_t)h->cluster_size);
    if (backing_at) {
        if (backing_len == 0 || backing_len > 1023 || backing_at < header || backing_at > end || backing_len > end - backing_at)
            return damaged(path, "qcow2", "the backing file's name lies outside the header", err);
        h->backing = take_name(data + backing_at, backing_len);
        if (h->backing == NULL)
            return damaged(path, "qcow2", "the backing file's name is no name", err);
        end = (size_t)backing_at;
    }
    if (qcow2_extensions(data, end, header, path, h, err) < 0)
        return -1;
    if ((incompat & QCOW2_INCOMPAT_DATA_FILE) && h->data_file == NULL)
        return damaged(path, "qcow2", "it has an external data file that is not named", err);
    return 0;
}

static int qcow_parse(const uint8_t *data, size_t len, const char *path, ImageHeader *h, Err *err)
{
    if (len < 48 || memcmp(data, "QFI\xfb\0\0\0\x01", 8) != 0)
        return damaged(path, "qcow", "it does not start with the format's mark", err);
    uint64_t at = be64(data + 8);
    uint32_t n = be32(data + 16);
    h->version = 1;
    h->virtual_size = be64(data + 24);
    h->encrypted = be32(data + 36) != 0;
    if (at == 0)
        return 0;
    if (n == 0 || n > 1023 || at > len || n > len - at || (h->backing = take_name(data + at, n)) == NULL)
        return damaged(path, "qcow", "the backing file's name lies outside the header", err);
    return 0;
}

static int qed_parse(const uint8_t *data, size_t len, const char *path, ImageHeader *h, Err *err)
{
    if (len < 64 || memcmp(data, "QED\0", 4) != 0)
        return damaged(path, "qed", "it does not start with the format's mark", err);
    uint64_t features = le64(data + 16);
    h->virtual_size = le64(data + 48);
    if (!(features & 1))
        return 0;
    uint32_t at = le32(data + 56);
    uint32_t n = le32(data + 60);
    if (n == 0 || n > 1023 || at > len || n > len - at || (h->backing = take_name(data + at, n)) == NULL)
        return damaged(path, "qed", "the backing file's name lies outside the header", err);
    if (features & 4) {
        h->backing_fmt = IMAGE_FMT_RAW;
        h->backing_fmt_name = g_strdup("raw");
    }
    return 0;
}

/* ---- others ------------------------------------------------------------------------------------------------------------------ */

static bool has_magic(const uint8_t *data, size_t len, ImageFmt fmt)
{
    return image_fmt_by_magic(data, len) == fmt;
}

/* The quoted value after `key` in the text of a descriptor, as a name.  0; 1: there is none; -1: it is no name. */
static int descriptor_value(const char *text, size_t len, const char *key, char **ret)
{
    const char *at = g_strstr_len(text, (gssize)len, key);
    if (!at)
        return 1;
    at += strlen(key);
    const char *end = memchr(at, '"', len - (size_t)(at - text));
    *ret = end ? take_name((const uint8_t *)at, (size_t)(end - at)) : NULL;
    return *ret ? 0 : -1;
}

static int vmdk_descriptor(const uint8_t *data, size_t len, bool alone, const char *path, ImageHeader *h, Err *err)
{
    const char *text = (const char *)data;
    size_t n = strnlen(text, len);
    if (descriptor_value(text, n, "parentFileNameHint=\"", &h->backing) < 0)
        return damaged(path, "vmdk", "the parent's name is no name", err);
    if (h->backing) {
        h->backing_fmt = IMAGE_FMT_VMDK;
        h->backing_fmt_name = g_strdup("vmdk");
    }
    /* a descriptor in a file of its own: the data is in others */
    if (alone && descriptor_value(text, n, " \"", &h->data_file) != 0)
        return damaged(path, "vmdk", "its descriptor names no file with data", err);
    return 0;
}

static int vmdk_parse(const uint8_t *data, size_t len, const char *path, ImageHeader *h, Err *err)
{
    if (!has_magic(data, len, IMAGE_FMT_VMDK))
        return damaged(path, "vmdk", "it does not start with the format's mark", err);
    if (data[0] == '#')
        return vmdk_descriptor(data, len, true, path, h, err);
    if (len < 79)
        return damaged(path, "vmdk", "it is too short", err);
    h->version = le32(data + 4);
    if (memcmp(data, "COWD", 4) == 0) {
        h->virtual_size = (uint64_t)le32(data + 12) * 512;
        return 0;
    }
    uint64_t sectors = le64(data + 12), at = le64(data + 28), size = le64(data + 36);
    if (sectors > UINT64_MAX / 512)
        return damaged(path, "vmdk", "its size is out of range", err);
    h->virtual_size = sectors * 512;
    if (at == 0 || at >= len / 512 || size == 0)
        return 0; /* none within reach: no parent that could be followed */
    return vmdk_descriptor(data + at * 512, MIN(len - (size_t)at * 512, size > len / 512 ? len : (size_t)size * 512), false, path, h, err);
}

static int vdi_parse(const uint8_t *data, size_t len, const char *path, ImageHeader *h, Err *err)
{
    if (!has_magic(data, len, IMAGE_FMT_VDI))
        return damaged(path, "vdi", "it does not have the format's mark", err);
    if (len < 400)
        return damaged(path, "vdi", "it is too short", err);
    h->version = le32(data + 68);
    if (h->version != 0x00010001)
        return damaged(path, "vdi", "its version is not 1.1", err);
    h->virtual_size = le64(data + 368);
    h->cluster_size = le32(data + 376);
    return 0;
}

enum { VPC_DIFFERENCING = 4 };

/* Of an image of fixed size the description is at the end, out of reach. */
static int vpc_parse(const uint8_t *data, size_t len, const char *path, ImageHeader *h, Err *err)
{
    if (!has_magic(data, len, IMAGE_FMT_VPC))
        return 0;
    if (len < 512)
        return damaged(path, "vpc", "it is too short", err);
    h->virtual_size = be64(data + 48);
    if (be32(data + 60) == VPC_DIFFERENCING)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "image '%s' is a differencing vpc image: its parent cannot be followed", path);
    return 0;
}

static int luks_parse(const uint8_t *data, size_t len, const char *path, ImageHeader *h, Err *err)
{
    if (!has_magic(data, len, IMAGE_FMT_LUKS) || len < 592)
        return damaged(path, "luks", "it does not start with the format's mark, or is too short", err);
    h->version = (uint32_t)data[6] << 8 | data[7];
    h->encrypted = true;
    if (h->version != 1 && h->version != 2)
        return damaged(path, "luks", "its version is not 1 or 2", err);
    return 0;
}

int image_header_parse(const uint8_t *data, size_t len, ImageFmt fmt, const char *path, ImageHeader *ret, Err *err)
{
    ImageHeader h = {.fmt = fmt != IMAGE_FMT_NONE ? fmt : image_fmt_by_magic(data, len)};
    int r = 0;
    switch (h.fmt) {
    case IMAGE_FMT_QCOW2:
        r = qcow2_parse(data, len, path, &h, err);
        break;
    case IMAGE_FMT_QCOW:
        r = qcow_parse(data, len, path, &h, err);
        break;
    case IMAGE_FMT_QED:
        r = qed_parse(data, len, path, &h, err);
        break;
    case IMAGE_FMT_VMDK:
        r = vmdk_parse(data, len, path, &h, err);
        break;
    case IMAGE_FMT_VDI:
        r = vdi_parse(data, len, path, &h, err);
        break;
    case IMAGE_FMT_VPC:
        r = vpc_parse(data, len, path, &h, err);
        break;
    case IMAGE_FMT_LUKS:
        r = luks_parse(data, len, path, &h, err);
        break;
    case IMAGE_FMT_VHDX: /* its size is in a table beyond what is read */
    case IMAGE_FMT_BOCHS:
    case IMAGE_FMT_CLOOP:
    case IMAGE_FMT_PARALLELS:
        if (!has_magic(data, len, h.fmt))
            r = damaged(path, image_fmt_names[h.fmt], "it does not start with the format's mark", err);
        break;
    default:
        break;
    }
    if (r < 0) {
        image_header_clear(&h);
        return -1;
    }
    *ret = h;
    return 0;
}
