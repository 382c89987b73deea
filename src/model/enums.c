/* model/enums.c - the words of every enumeration
 *
 * Owns:    the string tables declared in enums.h and the look-up over them
 */
#include "config.h"

#include <string.h>

#include "model/enums.h"

const char *const tri_yesno_names[TRI_NO + 1] = {NULL, "yes", "no"};
const char *const tri_onoff_names[TRI_NO + 1] = {NULL, "on", "off"};

const char *const virt_type_names[VIRT_MAX] = {NULL, VIRT_LIST(ENUM_WORD_)};
const char *const address_type_names[ADDRESS_MAX] = {NULL, ADDRESS_LIST(ENUM_WORD_)};
const char *const disk_device_names[DISK_DEVICE_MAX] = {NULL, DISK_DEVICE_LIST(ENUM_WORD_)};
const char *const storage_type_names[STORAGE_MAX] = {NULL, STORAGE_LIST(ENUM_WORD_)};
const char *const storage_format_names[STORAGE_FORMAT_MAX] = {NULL, STORAGE_FORMAT_LIST(ENUM_WORD_)};
const char *const disk_cache_names[DISK_CACHE_MAX] = {"default", DISK_CACHE_LIST(ENUM_WORD_)};
const char *const disk_error_policy_names[DISK_ERROR_MAX] = {"default", DISK_ERROR_LIST(ENUM_WORD_)};
const char *const disk_io_names[DISK_IO_MAX] = {"default", DISK_IO_LIST(ENUM_WORD_)};
const char *const disk_discard_names[DISK_DISCARD_MAX] = {"default", DISK_DISCARD_LIST(ENUM_WORD_)};
const char *const disk_detect_zeroes_names[DISK_DETECT_ZEROES_MAX] = {"default", DISK_DETECT_ZEROES_LIST(ENUM_WORD_)};
const char *const disk_bus_names[DISK_BUS_MAX] = {NULL, DISK_BUS_LIST(ENUM_WORD_)};
const char *const disk_tray_names[DISK_TRAY_MAX] = {NULL, DISK_TRAY_LIST(ENUM_WORD_)};
const char *const mirror_job_names[MIRROR_JOB_MAX] = {NULL, MIRROR_JOB_LIST(ENUM_WORD_)};
const char *const mirror_state_names[MIRROR_STATE_MAX] = {NULL, MIRROR_STATE_LIST(ENUM_WORD_)};
const char *const disk_model_names[DISK_MODEL_MAX] = {"default", DISK_MODEL_LIST(ENUM_WORD_)};
const char *const startup_policy_names[STARTUP_MAX] = {"default", STARTUP_LIST(ENUM_WORD_)};
const char *const snapshot_location_names[SNAPSHOT_MAX] = {"default", SNAPSHOT_LIST(ENUM_WORD_)};
const char *const controller_type_names[CONTROLLER_MAX] = {NULL, CONTROLLER_LIST(ENUM_WORD_)};
const char *const controller_model_names[CONTROLLER_MODEL_MAX] = {NULL, CONTROLLER_MODEL_LIST(ENUM_WORD_)};
const char *const pci_model_name_names[PCI_MODEL_NAME_MAX] = {NULL, PCI_MODEL_NAME_LIST(ENUM_WORD_)};
const char *const net_type_names[NET_MAX] = {NULL, NET_LIST(ENUM_WORD_)};
const char *const mac_type_names[MAC_TYPE_MAX] = {NULL, MAC_TYPE_LIST(ENUM_WORD_)};
const char *const net_link_state_names[NET_LINK_MAX] = {"default", NET_LINK_LIST(ENUM_WORD_)};
const char *const net_backend_driver_names[NET_DRIVER_MAX] = {"default", NET_DRIVER_LIST(ENUM_WORD_)};
const char *const net_tx_mode_names[NET_TXMODE_MAX] = {"default", NET_TXMODE_LIST(ENUM_WORD_)};
const char *const chr_type_names[CHR_MAX] = {NULL, CHR_LIST(ENUM_WORD_)};
const char *const chr_mode_names[CHR_MODE_MAX] = {NULL, CHR_MODE_LIST(ENUM_WORD_)};
const char *const tcp_protocol_names[TCP_MAX] = {NULL, TCP_LIST(ENUM_WORD_)};
const char *const chr_kind_names[CHR_KIND_MAX] = {NULL, CHR_KIND_LIST(ENUM_WORD_)};
const char *const chr_target_type_names[CHR_TARGET_MAX] = {NULL, CHR_TARGET_LIST(ENUM_WORD_)};
const char *const chr_target_model_names[CHR_MODEL_MAX] = {NULL, CHR_MODEL_LIST(ENUM_WORD_)};
const char *const channel_state_names[CHANNEL_STATE_MAX] = {"default", CHANNEL_STATE_LIST(ENUM_WORD_)};
const char *const input_type_names[INPUT_MAX] = {NULL, INPUT_LIST(ENUM_WORD_)};
const char *const input_bus_names[INPUT_BUS_MAX] = {"default", INPUT_BUS_LIST(ENUM_WORD_)};
const char *const input_model_names[INPUT_MODEL_MAX] = {"default", INPUT_MODEL_LIST(ENUM_WORD_)};
const char *const listen_type_names[LISTEN_MAX] = {NULL, LISTEN_LIST(ENUM_WORD_)};
const char *const graphics_type_names[GRAPHICS_MAX] = {NULL, GRAPHICS_LIST(ENUM_WORD_)};
const char *const graphics_connected_names[GRAPHICS_CONNECTED_MAX] = {"default", GRAPHICS_CONNECTED_LIST(ENUM_WORD_)};
const char *const vnc_share_policy_names[VNC_SHARE_MAX] = {"default", VNC_SHARE_LIST(ENUM_WORD_)};
const char *const video_type_names[VIDEO_MAX] = {"default", VIDEO_LIST(ENUM_WORD_)};
const char *const watchdog_model_names[WATCHDOG_MODEL_MAX] = {NULL, WATCHDOG_MODEL_LIST(ENUM_WORD_)};
const char *const watchdog_action_names[WATCHDOG_MAX] = {NULL, WATCHDOG_LIST(ENUM_WORD_)};
const char *const memballoon_model_names[MEMBALLOON_MAX] = {NULL, MEMBALLOON_LIST(ENUM_WORD_)};
const char *const rng_model_names[RNG_MODEL_MAX] = {NULL, RNG_MODEL_LIST(ENUM_WORD_)};
const char *const rng_backend_names[RNG_MAX] = {NULL, RNG_LIST(ENUM_WORD_)};
const char *const panic_model_names[PANIC_MAX] = {"default", PANIC_LIST(ENUM_WORD_)};
const char *const sound_model_names[SOUND_MAX] = {NULL, SOUND_LIST(ENUM_WORD_)};
const char *const cpu_feature_policy_names[CPU_FEATURE_MAX] = {NULL, CPU_FEATURE_LIST(ENUM_WORD_)};
const char *const cpu_mode_names[CPU_MODE_MAX] = {NULL, CPU_MODE_LIST(ENUM_WORD_)};
const char *const cpu_match_names[CPU_MATCH_MAX] = {NULL, CPU_MATCH_LIST(ENUM_WORD_)};
const char *const cpu_check_names[CPU_CHECK_MAX] = {"default", CPU_CHECK_LIST(ENUM_WORD_)};
const char *const cpu_fallback_names[CPU_FALLBACK_MAX] = {NULL, CPU_FALLBACK_LIST(ENUM_WORD_)};
const char *const cpu_cache_mode_names[CPU_CACHE_MAX] = {NULL, CPU_CACHE_LIST(ENUM_WORD_)};
const char *const timer_name_names[TIMER_MAX] = {NULL, TIMER_LIST(ENUM_WORD_)};
const char *const timer_tick_policy_names[TIMER_TICK_MAX] = {NULL, TIMER_TICK_LIST(ENUM_WORD_)};
const char *const timer_track_names[TIMER_TRACK_MAX] = {NULL, TIMER_TRACK_LIST(ENUM_WORD_)};
const char *const timer_mode_names[TIMER_MODE_MAX] = {NULL, TIMER_MODE_LIST(ENUM_WORD_)};
const char *const clock_offset_names[CLOCK_MAX] = {NULL, CLOCK_LIST(ENUM_WORD_)};
const char *const clock_basis_names[CLOCK_BASIS_MAX] = {NULL, CLOCK_BASIS_LIST(ENUM_WORD_)};
const char *const vcpu_placement_names[VCPU_PLACEMENT_MAX] = {NULL, VCPU_PLACEMENT_LIST(ENUM_WORD_)};
const char *const lifecycle_action_names[ON_MAX] = {NULL, ON_LIST(ENUM_WORD_)};
const char *const boot_device_names[BOOT_MAX] = {NULL, BOOT_LIST(ENUM_WORD_)};
const char *const audio_type_names[AUDIO_MAX] = {NULL, AUDIO_LIST(ENUM_WORD_)};
const char *const seclabel_type_names[SECLABEL_MAX] = {NULL, SECLABEL_LIST(ENUM_WORD_)};

const char *const device_kind_names[DEVICE_MAX] = {
    NULL,
#define DEVICE(ID, element, Struct, table, member) element,
#include "model/devices.def"
};

int enum_find(const char *const *names, int max, const char *word)
{
    for (int i = 0; i < max; i++) {
        if (names[i] && strcmp(names[i], word) == 0)
            return i;
    }
    return -1;
}

const char *enum_word(const char *const *names, int max, int value)
{
    return value > 0 && value < max ? names[value] : NULL;
}

char *enum_list(const char *const *names, int max)
{
    GString *s = g_string_new(NULL);
    for (int i = 0; i < max; i++) {
        if (!names[i])
            continue;
        if (s->len)
            g_string_append(s, ", ");
        g_string_append(s, names[i]);
    }
    return g_string_free(s, FALSE);
}

bool controller_model_fits(ControllerType type, ControllerModel model)
{
    switch (type) {
    case CONTROLLER_PCI:
        return model >= CONTROLLER_MODEL_PCI_ROOT && model <= CONTROLLER_MODEL_PCIE_EXPANDER_BUS;
    case CONTROLLER_SCSI:
        return (model >= CONTROLLER_MODEL_AUTO && model <= CONTROLLER_MODEL_AM53C974) ||
               model == CONTROLLER_MODEL_VIRTIO_TRANSITIONAL || model == CONTROLLER_MODEL_VIRTIO_NON_TRANSITIONAL;
    case CONTROLLER_USB:
        return model >= CONTROLLER_MODEL_PIIX3_UHCI && model <= CONTROLLER_MODEL_NONE;
    case CONTROLLER_IDE:
        return model >= CONTROLLER_MODEL_PIIX3 && model <= CONTROLLER_MODEL_ICH6;
    case CONTROLLER_VIRTIO_SERIAL:
        return model >= CONTROLLER_MODEL_VIRTIO && model <= CONTROLLER_MODEL_VIRTIO_NON_TRANSITIONAL;
    default:
        return false;
    }
}
