/* model/iotune.c - the limits of a disk
 *
 * Owns:    what goes together and what contradicts
 * Threads: any; pure
 * Errors:  VIR_ERR_INVALID_ARG, VIR_ERR_ARGUMENT_UNSUPPORTED, VIR_ERR_CONFIG_UNSUPPORTED
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "model/iotune.h"

#define FIELD(m, key, class_, base_) {#m, key, class_, offsetof(DiskIoTune, m), base_}
/* In the order of the API; those of a class stand total, read, write. */
const IoTuneField iotune_fields[IOTUNE_FIELDS] = {
    FIELD(total_bytes_sec, "bps", IOTUNE_BYTES, -1),
    FIELD(read_bytes_sec, "bps_rd", IOTUNE_BYTES, -1),
    FIELD(write_bytes_sec, "bps_wr", IOTUNE_BYTES, -1),
    FIELD(total_iops_sec, "iops", IOTUNE_IOPS, -1),
    FIELD(read_iops_sec, "iops_rd", IOTUNE_IOPS, -1),
    FIELD(write_iops_sec, "iops_wr", IOTUNE_IOPS, -1),
    FIELD(total_bytes_sec_max, "bps_max", IOTUNE_BYTES_MAX, 0),
    FIELD(read_bytes_sec_max, "bps_rd_max", IOTUNE_BYTES_MAX, 1),
    FIELD(write_bytes_sec_max, "bps_wr_max", IOTUNE_BYTES_MAX, 2),
    FIELD(total_iops_sec_max, "iops_max", IOTUNE_IOPS_MAX, 3),
    FIELD(read_iops_sec_max, "iops_rd_max", IOTUNE_IOPS_MAX, 4),
    FIELD(write_iops_sec_max, "iops_wr_max", IOTUNE_IOPS_MAX, 5),
    FIELD(size_iops_sec, "iops_size", IOTUNE_SIZE, -1),
    FIELD(total_bytes_sec_max_length, "bps_max_length", IOTUNE_BYTES_LENGTH, 6),
    FIELD(read_bytes_sec_max_length, "bps_rd_max_length", IOTUNE_BYTES_LENGTH, 7),
    FIELD(write_bytes_sec_max_length, "bps_wr_max_length", IOTUNE_BYTES_LENGTH, 8),
    FIELD(total_iops_sec_max_length, "iops_max_length", IOTUNE_IOPS_LENGTH, 9),
    FIELD(read_iops_sec_max_length, "iops_rd_max_length", IOTUNE_IOPS_LENGTH, 10),
    FIELD(write_iops_sec_max_length, "iops_wr_max_length", IOTUNE_IOPS_LENGTH, 11),
};

uint64_t iotune_get(const DiskIoTune *t, unsigned field)
{
    uint64_t v;
    memcpy(&v, (const char *)t + iotune_fields[field].off, sizeof(v));
    return v;
}

void iotune_set(DiskIoTune *t, unsigned field, uint64_t value)
{
    memcpy((char *)t + iotune_fields[field].off, &value, sizeof(value));
}

int iotune_find(const char *name)
{
    for (unsigned i = 0; i < IOTUNE_FIELDS; i++) {
        if (strcmp(iotune_fields[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

bool iotune_any(const DiskIoTune *t)
{
    for (unsigned i = 0; i < IOTUNE_FIELDS; i++) {
        if (iotune_get(t, i))
            return true;
    }
    return false;
}

int iotune_change_check(const IoTuneChange *c, Err *err)
{
    static const struct {
        unsigned first;
        const char *name;
    } triples[] = {{0, "bytes_sec"}, {3, "iops_sec"}, {6, "bytes_sec_max"}, {9, "iops_sec_max"}};
    for (unsigned i = 0; i < IOTUNE_FIELDS; i++) {
        if (iotune_get(&c->values, i) > IOTUNE_LIMIT)
            return err_set(err, VIR_ERR_ARGUMENT_UNSUPPORTED, "block I/O throttle limit value must be no more than %" PRIu64 ": '%s'",
                           IOTUNE_LIMIT, iotune_fields[i].name);
    }
    for (unsigned i = 0; i < N_ELEMENTS(triples); i++) {
        unsigned f = triples[i].first;
        if (iotune_get(&c->values, f) && (iotune_get(&c->values, f + 1) || iotune_get(&c->values, f + 2)))
            return err_set(err, VIR_ERR_INVALID_ARG, "total and read/write of %s cannot be set at the same time", triples[i].name);
    }
    return 0;
}

void iotune_apply(DiskIoTune *t, const DiskIoTune *base, const IoTuneChange *c)
{
    unsigned classes = 0;
    for (unsigned i = 0; i < IOTUNE_FIELDS; i++) {
        if (c->given & (1u << i))
            classes |= 1u << iotune_fields[i].class;
    }
    DiskIoTune now = *base;
    for (unsigned i = 0; i < IOTUNE_FIELDS; i++) {
        const IoTuneField *f = &iotune_fields[i];
        if (classes & (1u << f->class))
            iotune_set(&now, i, iotune_get(&c->values, i));
    }
    for (unsigned i = 0; i < IOTUNE_FIELDS; i++) { /* a burst without a length lasts a second */
        const IoTuneField *f = &iotune_fields[i];
        bool length = f->class == IOTUNE_BYTES_LENGTH || f->class == IOTUNE_IOPS_LENGTH;
        if (length && (classes & (1u << f->class)) && !iotune_get(&now, i) && iotune_get(&now, (unsigned)f->base))
            iotune_set(&now, i, 1);
    }
    const char *group = c->group_given ? c->values.group_name : base->group_name;
    now.group_name = group && *group ? g_strdup(group) : NULL;
    g_free(t->group_name);
    *t = now;
}

int iotune_check_live(const DiskIoTune *t, Err *err)
{
    for (unsigned i = 0; i < IOTUNE_FIELDS; i++) {
        const IoTuneField *f = &iotune_fields[i];
        uint64_t v = iotune_get(t, i);
        if (f->base < 0 || !v)
            continue;
        const char *base = iotune_fields[f->base].name;
        uint64_t below = iotune_get(t, (unsigned)f->base);
        bool length = f->class == IOTUNE_BYTES_LENGTH || f->class == IOTUNE_IOPS_LENGTH;
        if (!below)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "cannot reset '%s' when '%s' is set", base, f->name);
        if (!length && v < below)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "value '%s' cannot be smaller than '%s'", f->name, base);
    }
    if (t->size_iops_sec && !t->total_iops_sec && !t->read_iops_sec && !t->write_iops_sec)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "'size_iops_sec' needs a limit of operations to count by");
    return 0;
}
