dist_man_MANS += docs/berthd.8 docs/berthd.conf.5
EXTRA_DIST += docs/moving-from-libvirtd.md docs/differences.md
