/* include/lane.h - the four lanes calls run in
 */
#pragma once

typedef enum {
    LANE_INLINE, /* on the event thread itself; never submitted to the pool */
    LANE_FAST,   /* never waits for QEMU */
    LANE_NORMAL,
    LANE_LONG,   /* save, migrate, dump */
    LANE_MAX,
} Lane;
