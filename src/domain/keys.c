/* domain/keys.c - key presses for a machine
 *
 * Owns:    the way from other sets of key codes to QEMU's numbers
 * Source:  QEMU's "number" key values are PC/XT set 1 scan codes, with 0x80 added for keys that have the 0xe0 prefix
 */
#include "config.h"

#include "api_enums.h"
#include "domain/keys.h"

/* Linux input codes up to KEY_KPDOT + F11, F12 and the 102nd key are the set 1 codes themselves; the rest by table. */
#define LINUX_SAME_MAX 88u

static const struct {
    uint8_t linux_code, qnum;
} linux_extended[] = {
    {96, 0x9c},  /* keypad enter */
    {97, 0x9d},  /* right control */
    {98, 0xb5},  /* keypad slash */
    {99, 0x54},  /* sysrq */
    {100, 0xb8}, /* right alt */
    {102, 0xc7}, /* home */
    {103, 0xc8}, /* up */
    {104, 0xc9}, /* page up */
    {105, 0xcb}, /* left */
    {106, 0xcd}, /* right */
    {107, 0xcf}, /* end */
    {108, 0xd0}, /* down */
    {109, 0xd1}, /* page down */
    {110, 0xd2}, /* insert */
    {111, 0xd3}, /* delete */
    {113, 0xa0}, /* mute */
    {114, 0xae}, /* volume down */
    {115, 0xb0}, /* volume up */
    {116, 0xde}, /* power */
    {117, 0x59}, /* keypad equal */
    {119, 0xc6}, /* pause */
    {125, 0xdb}, /* left meta */
    {126, 0xdc}, /* right meta */
    {127, 0xdd}, /* compose */
};

static int from_linux(unsigned code)
{
    if (code > 0 && code <= LINUX_SAME_MAX)
        return (int)code;
    for (size_t i = 0; i < N_ELEMENTS(linux_extended); i++) {
        if (linux_extended[i].linux_code == code)
            return linux_extended[i].qnum;
    }
    return -1;
}

/* Set 1 with the prefix written out (0xe0xx), or the plain code. */
static int from_xt(unsigned code)
{
    if ((code & 0xff00) == 0xe000)
        return (int)((code & 0x7f) | 0x80);
    return code > 0 && code < 0x80 ? (int)code : -1;
}

int key_to_qnum(unsigned codeset, unsigned code, bool *ret_known)
{
    *ret_known = true;
    switch (codeset) {
    case VIR_KEYCODE_SET_LINUX:
        return from_linux(code);
    case VIR_KEYCODE_SET_XT:
    case VIR_KEYCODE_SET_ATSET1:
        return from_xt(code);
    case VIR_KEYCODE_SET_QNUM:
        return code > 0 && code <= 0xff ? (int)code : -1;
    default:
        *ret_known = false;
        return -1;
    }
}

int domain_send_key(Domain *d, unsigned codeset, unsigned hold_ms, const unsigned *codes, unsigned n, Err *err)
{
    if (n == 0 || n > KEYS_MAX)
        return err_set(err, VIR_ERR_INVALID_ARG, "1 to %u keys can be sent at once, not %u", KEYS_MAX, n);
    json_t *keys = json_array();
    for (unsigned i = 0; i < n; i++) {
        bool known;
        int q = key_to_qnum(codeset, codes[i], &known);
        if (q < 0) {
            json_decref(keys);
            if (!known)
                return err_set(err, VIR_ERR_ARGUMENT_UNSUPPORTED, "key codes of set %u are not supported; linux, xt, atset1 and qnum are",
                               codeset);
            return err_set(err, VIR_ERR_INVALID_ARG, "there is no key %u in code set %u", codes[i], codeset);
        }
        json_array_append_new(keys, json_pack("{s:s, s:i}", "type", "number", "data", q));
    }
    json_t *args = json_pack("{s:o}", "keys", keys);
    if (hold_ms)
        json_object_set_new(args, "hold-time", json_integer(hold_ms));
    return domain_qmp(d, "send-key", args, NULL, err);
}
