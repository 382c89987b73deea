/* domain/keys.c - key presses for a machine
 *
 * Owns:    the way from other sets of key codes to QEMU's numbers (keys_table.c)
 */
#include "config.h"

#include "api_enums.h"
#include "domain/keys.h"

/* The code of a key in one of the sets that need the table. */
static int code_of(const KeyRow *r, unsigned codeset)
{
    switch (codeset) {
    case VIR_KEYCODE_SET_LINUX:
        return r->linux_code;
    case VIR_KEYCODE_SET_ATSET2:
        return r->set2;
    case VIR_KEYCODE_SET_ATSET3:
        return r->set3;
    case VIR_KEYCODE_SET_OSX:
        return r->macos;
    case VIR_KEYCODE_SET_USB:
        return r->usb;
    default:
        return r->win32;
    }
}

/* Some keys have two codes in a set, the table has one. */
static unsigned first_code(unsigned codeset, unsigned code)
{
    if (codeset == VIR_KEYCODE_SET_USB)
        return code == 0x32 ? 0x31 : code; /* the backslash of ISO keyboards */
    if (codeset != VIR_KEYCODE_SET_WIN32)
        return code;
    switch (code) {
    case 0xa0: /* VK_LSHIFT */
        return 0x10;
    case 0xa2: /* VK_LCONTROL */
        return 0x11;
    case 0xa4: /* VK_LMENU */
        return 0x12;
    default:
        return code;
    }
}

static int from_table(unsigned codeset, unsigned code)
{
    code = first_code(codeset, code);
    for (unsigned i = 0; code < KEY_NONE && i < n_key_rows; i++) {
        if (code_of(&key_rows[i], codeset) == (int)code)
            return key_rows[i].qnum;
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
    case VIR_KEYCODE_SET_ATSET2:
    case VIR_KEYCODE_SET_ATSET3:
    case VIR_KEYCODE_SET_OSX:
    case VIR_KEYCODE_SET_USB:
    case VIR_KEYCODE_SET_WIN32:
        return from_table(codeset, code);
    case VIR_KEYCODE_SET_XT:
    case VIR_KEYCODE_SET_ATSET1:
        return from_xt(code);
    case VIR_KEYCODE_SET_XT_KBD: /* an 83 key keyboard, and what came right after it */
        return code > 0 && code <= 0x58 ? (int)code : -1;
    case VIR_KEYCODE_SET_QNUM:
        return code > 0 && code <= 0xff ? (int)code : -1;
    default:
        *ret_known = false;
        return -1;
    }
}

static const char *const key_set_names[] = {"linux", "xt", "atset1", "atset2", "atset3", "os_x", "xt_kbd", "usb", "win32", "qnum"};

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
                return err_set(err, VIR_ERR_INVALID_ARG, "there is no key code set %u, the last is %u (qnum)", codeset,
                               (unsigned)VIR_KEYCODE_SET_QNUM);
            return err_set(err, VIR_ERR_INTERNAL_ERROR, "cannot translate keycode %u of %s codeset to qnum keycode", codes[i],
                           key_set_names[codeset]);
        }
        json_array_append_new(keys, json_pack("{s:s, s:i}", "type", "number", "data", q));
    }
    json_t *args = json_pack("{s:o}", "keys", keys);
    if (hold_ms)
        json_object_set_new(args, "hold-time", json_integer(hold_ms));
    return domain_qmp(d, "send-key", args, NULL, err);
}
