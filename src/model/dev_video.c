/* model/dev_video.c - <video>
 *
 * Owns:    the rows of graphics cards
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR
 */
#include "config.h"

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_XML
#include "model/field.h"

static const Field accel_table_fields[] = {
    A_YESNO("accel2d", VideoDef, accel2d, ABI),
    A_YESNO("accel3d", VideoDef, accel3d, ABI),
    REFUSE("@rendernode"),
};
GROUP_TABLE(accel_table, "acceleration");

static const Field resolution_table_fields[] = {
    A_OPT("x", VideoDef, res_x, REQUIRED | ABI, UINT32_MAX),
    A_OPT("y", VideoDef, res_y, REQUIRED | ABI, UINT32_MAX),
};
GROUP_TABLE(resolution_table, "resolution");

static const Field model_table_fields[] = {
    A_ENUM("type", VideoDef, type, video_type_names, VIDEO_MAX, ABI | NOT_DEFAULT | UNSUPPORTED),
    A_OPT("ram", VideoDef, ram, ABI, UINT32_MAX),
    A_OPT("vram", VideoDef, vram, ABI, UINT32_MAX),
    A_OPT("vram64", VideoDef, vram64, ABI, UINT32_MAX),
    A_OPT("vgamem", VideoDef, vgamem, ABI, UINT32_MAX),
    A_OPT("heads", VideoDef, heads, ABI, UINT32_MAX),
    A_YESNO("primary", VideoDef, primary, ABI),
    A_ONOFF("blob", VideoDef, blob, ABI),
    GROUP("acceleration", accel_table, 0),
    GROUP("resolution", resolution_table, 0),
};
GROUP_TABLE(model_table, "model");

static const Field driver_table_fields[] = {
    A_STR("name", VideoDef, driver_name, 0), REFUSE("@vgaconf"), REFUSE("@iommu"),
    REFUSE("@ats"),                          REFUSE("@packed"),  REFUSE("@page_per_vq"),
};
GROUP_TABLE(driver_table, "driver");

static const Field video_table_fields[] = {
    GROUP("driver", driver_table, 0),
    GROUP("model", model_table, 0),
    INFO_HEAD,
    INFO_TAIL,
};

static int video_finish(ParseCtx *c, xmlNode *node, void *base)
{
    VideoDef *v = base;
    if (v->primary == TRI_NO)
        v->primary = TRI_ABSENT;
    if (v->blob || g_strcmp0(v->driver_name, "vhostuser") == 0)
        return refuse_element(c, node, v->blob ? "blob" : "driver");
    return 0;
}

TABLE(video_table, "video", VideoDef, .finish = video_finish);
