# conf: sample files, generated from the rows of the configuration and committed
EXTRA_PROGRAMS += conf/generate
conf_generate_SOURCES = conf/generate.c daemon/conf_libvirtd.c daemon/conf_berthd.c src/qemu/conf.c
conf_generate_CPPFLAGS = $(AM_CPPFLAGS) -DCONF_REFERENCE -USYSCONFDIR -DSYSCONFDIR='"/etc"' -ULOCALSTATEDIR -DLOCALSTATEDIR='"/var"' \
	-URUNSTATEDIR -DRUNSTATEDIR='"/run"'
conf_generate_LDADD = libutil.a $(SYSTEMD_LIBS) $(GLIB_LIBS)
CLEANFILES += conf/generate$(EXEEXT)

conf_samples = conf/libvirtd.conf conf/qemu.conf conf/berthd.conf
libvirtconfdir = $(sysconfdir)/libvirt
EXTRA_DIST += $(conf_samples) conf/libvirt.sasl conf/generate.sh

# Rewrites what is generated from tables, in the source tree.
.PHONY: update-generated
update-generated: conf/generate$(EXEEXT)
	$(SHELL) $(srcdir)/conf/generate.sh ./conf/generate$(EXEEXT) $(srcdir) $(srcdir)

# Files the administrator has already are kept.
install-data-local: install-conf
.PHONY: install-conf
install-conf:
	$(MKDIR_P) $(DESTDIR)$(libvirtconfdir) $(DESTDIR)$(sysconfdir)/sasl2
	test -e $(DESTDIR)$(sysconfdir)/sasl2/libvirt.conf || \
	    $(INSTALL_DATA) $(srcdir)/conf/libvirt.sasl $(DESTDIR)$(sysconfdir)/sasl2/libvirt.conf
	for f in $(conf_samples); do \
	    to=$(DESTDIR)$(libvirtconfdir)/$${f#conf/}; \
	    test -e "$$to" || $(INSTALL_DATA) $(srcdir)/$$f "$$to" || exit 1; \
	done
uninstall-local: uninstall-conf
.PHONY: uninstall-conf
uninstall-conf:
	if cmp -s $(srcdir)/conf/libvirt.sasl $(DESTDIR)$(sysconfdir)/sasl2/libvirt.conf; then \
	    rm -f $(DESTDIR)$(sysconfdir)/sasl2/libvirt.conf; \
	fi
	for f in $(conf_samples); do \
	    to=$(DESTDIR)$(libvirtconfdir)/$${f#conf/}; \
	    if cmp -s $(srcdir)/$$f "$$to"; then rm -f "$$to"; fi; \
	done
