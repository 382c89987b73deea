/* qemu/dev_graphics.c - displays, video cards, input devices, sound
 *
 * Owns:    the -vnc line; passwords never appear on a command line, they are set by QMP
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED naming type or model
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "qemu/build.h"

/* ---- vnc --------------------------------------------------------------------------------------------------------------------- */

static const char *vnc_address(const ArgvBuild *b, const ListenDef *l)
{
    if (l && l->address)
        return l->address;
    return b->env->config && b->env->config->vnc_listen ? b->env->config->vnc_listen : "127.0.0.1";
}

static int vnc_listen(ArgvBuild *b, GString *s, const GraphicsDef *g, Err *err)
{
    const ListenDef *l = g->listens && g->listens->len ? g->listens->pdata[0] : NULL;
    switch (l ? l->type : LISTEN_ADDRESS) {
    case LISTEN_NONE:
        g_string_append(s, "none");
        return 0;
    case LISTEN_SOCKET:
        if (l->socket == NULL && !build_native(b))
            return err_set(err, VIR_ERR_INTERNAL_ERROR, "the vnc socket has no path");
        g_string_append(s, "vnc=unix:");
        opts_escape(s, l->socket ? l->socket : b->env->private_dir);
        g_string_append(s, l->socket ? "" : "/vnc.sock");
        return 0;
    case LISTEN_ABSENT:
    case LISTEN_ADDRESS:
        break;
    default:
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "listen type '%s' of vnc",
                       enum_word(listen_type_names, LISTEN_MAX, (int)l->type));
    }
    int port = g->port;
    if (build_native(b) && g->autoport && port <= 0)
        port = 5900; /* chosen at start: the first there is */
    if (port < 5900 || port > 65535)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "vnc port must be in range [5900,65535], not %d", port);
    const char *address = vnc_address(b, l);
    bool v6 = strchr(address, ':') != NULL;
    g_string_append(s, v6 ? "[" : "");
    opts_escape(s, address);
    g_string_append_printf(s, "%s:%d", v6 ? "]" : "", port - 5900);
    if (g->websocket > 0 || (g->websocket < 0 && build_native(b)))
        g_string_append_printf(s, ",websocket=%d", g->websocket > 0 ? g->websocket : 5700);
    return 0;
}

static void vnc_tls(ArgvBuild *b, GString *s)
{
    const QemuConfig *c = b->env->config;
    if (c == NULL)
        return;
    if (c->vnc_tls) {
        json_t *o = json_object();
        props_str(o, "qom-type", "tls-creds-x509");
        props_str(o, "id", "vnc-tls-creds0");
        props_str(o, "dir", c->vnc_tls_x509_cert_dir ? c->vnc_tls_x509_cert_dir : SYSCONFDIR "/pki/libvirt-vnc");
        props_str(o, "endpoint", "server");
        props_bool(o, "verify-peer", c->vnc_tls_x509_verify);
        argv_add_json(b, "-object", o);
        g_string_append(s, ",tls-creds=vnc-tls-creds0");
    }
    if (c->vnc_sasl)
        g_string_append(s, ",sasl=on");
}

static uint64_t audio_id(const DomainDef *def)
{
    const AudioDef *a = def->audios->len ? def->audios->pdata[0] : NULL;
    return a && a->id.set ? a->id.v : 1;
}

static int argv_vnc(ArgvBuild *b, const GraphicsDef *g, Err *err)
{
    g_autoptr(GString) s = g_string_new(NULL);
    if (vnc_listen(b, s, g, err) < 0)
        return -1;
    const char *share = enum_word(vnc_share_policy_names, VNC_SHARE_MAX, (int)g->share_policy);
    if (share)
        g_string_append_printf(s, ",share=%s", share);
    if (g->password || (b->env->config && b->env->config->vnc_password))
        g_string_append(s, ",password=on");
    vnc_tls(b, s);
    if (g->power_control != TRI_ABSENT)
        g_string_append(s, g->power_control == TRI_YES ? ",power-control=on" : ",power-control=off");
    g_string_append_printf(s, ",audiodev=audio%" PRIu64, audio_id(b->def));
    argv_add(b, "-vnc", s->str);
    if (g->keymap)
        argv_add(b, "-k", g->keymap);
    return 0;
}

/* ---- video ------------------------------------------------------------------------------------------------------------------- */

static const char *video_driver(const VideoDef *v, bool primary)
{
    switch (v->type) {
    case VIDEO_VGA:
        return "VGA";
    case VIDEO_CIRRUS:
        return "cirrus-vga";
    case VIDEO_VMVGA:
        return "vmware-svga";
    case VIDEO_QXL:
        return primary ? "qxl-vga" : "qxl";
    case VIDEO_VIRTIO:
        if (v->accel3d == TRI_YES)
            return primary ? "virtio-vga-gl" : "virtio-gpu-gl-pci";
        return primary ? "virtio-vga" : "virtio-gpu-pci";
    case VIDEO_BOCHS:
        return "bochs-display";
    case VIDEO_RAMFB:
        return "ramfb";
    default:
        return NULL;
    }
}

static void video_memory(json_t *o, const VideoDef *v)
{
    switch (v->type) {
    case VIDEO_QXL:
        if (v->ram.set)
            props_u64(o, "ram_size", v->ram.v * 1024);
        if (v->vram.set)
            props_u64(o, "vram_size", v->vram.v * 1024);
        props_u64(o, "vram64_size_mb", v->vram64.set ? v->vram64.v / 1024 : 0);
        if (v->vgamem.set)
            props_u64(o, "vgamem_mb", v->vgamem.v / 1024);
        break;
    case VIDEO_VGA:
    case VIDEO_VMVGA:
        if (v->vram.set)
            props_u64(o, "vgamem_mb", v->vram.v / 1024);
        break;
    case VIDEO_BOCHS:
        if (v->vram.set)
            props_u64(o, "vgamem", v->vram.v * 1024);
        break;
    default:
        break;
    }
}

json_t *qemu_video_props(const DomainDef *def, const VideoDef *v, Err *err)
{
    bool primary = v->primary == TRI_YES || (def->videos->len && def->videos->pdata[0] == v);
    const char *driver = video_driver(v, primary);
    if (driver == NULL || (v->driver_name && strcmp(v->driver_name, "qemu") != 0)) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "video type '%s'%s%s", enum_word(video_type_names, VIDEO_MAX, (int)v->type),
                v->driver_name ? " with driver " : "", v->driver_name ? v->driver_name : "");
        return NULL;
    }
    json_t *o = json_object();
    props_str(o, "driver", driver);
    props_str(o, "id", v->info.alias);
    if (v->type == VIDEO_QXL || v->type == VIDEO_VIRTIO)
        props_opt(o, "max_outputs", v->heads);
    video_memory(o, v);
    if (v->blob != TRI_ABSENT && v->type == VIDEO_VIRTIO)
        props_tri(o, "blob", v->blob);
    if (v->type != VIDEO_CIRRUS && v->type != VIDEO_VMVGA) {
        props_opt(o, "xres", v->res_x);
        props_opt(o, "yres", v->res_y);
    }
    if (props_address(o, def, &v->info, "a video card", err) < 0) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* ---- input ------------------------------------------------------------------------------------------------------------------- */

static const char *input_driver(const InputDef *in)
{
    static const char *const usb[INPUT_MAX] = {
        [INPUT_MOUSE] = "usb-mouse",
        [INPUT_TABLET] = "usb-tablet",
        [INPUT_KEYBOARD] = "usb-kbd",
    };
    static const char *const virtio[INPUT_MAX] = {
        [INPUT_MOUSE] = "virtio-mouse-pci",
        [INPUT_TABLET] = "virtio-tablet-pci",
        [INPUT_KEYBOARD] = "virtio-keyboard-pci",
    };
    if (in->bus == INPUT_BUS_USB)
        return usb[in->type];
    return in->bus == INPUT_BUS_VIRTIO ? virtio[in->type] : NULL;
}

json_t *qemu_input_props(const DomainDef *def, const InputDef *in, Err *err)
{
    if (in->bus == INPUT_BUS_PS2)
        return NULL;
    const char *driver = input_driver(in);
    if (driver == NULL) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "input type '%s' bus '%s'", enum_word(input_type_names, INPUT_MAX, (int)in->type),
                enum_word(input_bus_names, INPUT_BUS_MAX, (int)in->bus));
        return NULL;
    }
    const char *suffix = "";
    if (in->model == INPUT_MODEL_VIRTIO_TRANSITIONAL)
        suffix = "-transitional";
    else if (in->model == INPUT_MODEL_VIRTIO_NON_TRANSITIONAL)
        suffix = "-non-transitional";
    json_t *o = json_object();
    props_strf(o, "driver", "%s%s", driver, suffix);
    props_str(o, "id", in->info.alias);
    if (props_address(o, def, &in->info, "an input device", err) < 0) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* ---- sound ------------------------------------------------------------------------------------------------------------------- */

json_t *qemu_sound_props(const DomainDef *def, const SoundDef *sound, json_t **ret_codec, Err *err)
{
    static const char *const drivers[SOUND_MAX] = {
        [SOUND_SB16] = "sb16",       [SOUND_ES1370] = "ES1370",       [SOUND_PCSPK] = NULL,       [SOUND_AC97] = "AC97",
        [SOUND_ICH6] = "intel-hda", [SOUND_ICH9] = "ich9-intel-hda", [SOUND_USB] = "usb-audio",
    };
    const char *driver = drivers[sound->model];
    if (driver == NULL) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "sound model '%s'", enum_word(sound_model_names, SOUND_MAX, (int)sound->model));
        return NULL;
    }
    bool hda = sound->model == SOUND_ICH6 || sound->model == SOUND_ICH9;
    json_t *o = json_object();
    props_str(o, "driver", driver);
    props_str(o, "id", sound->info.alias);
    if (!hda)
        props_strf(o, "audiodev", "audio%" PRIu64, audio_id(def));
    if (props_address(o, def, &sound->info, "a sound card", err) < 0) {
        json_decref(o);
        return NULL;
    }
    *ret_codec = NULL;
    if (hda) {
        json_t *c = json_object();
        props_str(c, "driver", "hda-duplex");
        props_strf(c, "id", "%s-codec0", sound->info.alias);
        props_strf(c, "bus", "%s.0", sound->info.alias);
        props_u64(c, "cad", 0);
        props_strf(c, "audiodev", "audio%" PRIu64, audio_id(def));
        *ret_codec = c;
    }
    return o;
}

static int argv_audio(ArgvBuild *b, Err *err)
{
    for (unsigned i = 0; i < b->def->audios->len; i++) {
        const AudioDef *a = b->def->audios->pdata[i];
        if (a->type != AUDIO_NONE)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "audio type '%s'", enum_word(audio_type_names, AUDIO_MAX, (int)a->type));
        json_t *o = json_object();
        props_strf(o, "id", "audio%" PRIu64, a->id.set ? a->id.v : i + 1);
        props_str(o, "driver", "none");
        argv_add_json(b, "-audiodev", o);
    }
    return 0;
}

static int argv_sounds(ArgvBuild *b, Err *err)
{
    for (unsigned i = 0; i < b->def->sounds->len; i++) {
        json_t *codec = NULL;
        json_t *o = qemu_sound_props(b->def, b->def->sounds->pdata[i], &codec, err);
        if (o == NULL)
            return -1;
        argv_add_json(b, "-device", o);
        argv_add_json(b, "-device", codec);
    }
    return 0;
}

int argv_graphics(ArgvBuild *b, Err *err)
{
    g_auto(Err) none = ERR_INIT;
    for (unsigned i = 0; i < b->def->inputs->len; i++) {
        json_t *o = qemu_input_props(b->def, b->def->inputs->pdata[i], &none);
        if (o == NULL && err_is_set(&none)) {
            err_move(err, &none);
            return -1;
        }
        argv_add_json(b, "-device", o);
    }
    if (argv_audio(b, err) < 0)
        return -1;
    for (unsigned i = 0; i < b->def->graphics->len; i++) {
        const GraphicsDef *g = b->def->graphics->pdata[i];
        if (g->type != GRAPHICS_VNC)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "graphics type '%s'",
                           enum_word(graphics_type_names, GRAPHICS_MAX, (int)g->type));
        if (argv_vnc(b, g, err) < 0)
            return -1;
    }
    for (unsigned i = 0; i < b->def->videos->len; i++) {
        const VideoDef *v = b->def->videos->pdata[i];
        if (v->type == VIDEO_NONE)
            continue;
        json_t *o = qemu_video_props(b->def, v, err);
        if (o == NULL)
            return -1;
        argv_add_json(b, "-device", o);
    }
    return argv_sounds(b, err);
}
