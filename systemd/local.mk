# systemd: units and what they need; paths are filled in at make time, because configure leaves them relative to ${prefix}
units = systemd/berthd.service systemd/berthd.socket systemd/berthd-ro.socket systemd/berthd-admin.socket \
	systemd/berthd-tcp.socket systemd/berthd-tls.socket
unit_extras = systemd/berthd.sysusers systemd/berthd.tmpfiles
CLEANFILES += $(units) $(unit_extras)
EXTRA_DIST += $(units:=.in) $(unit_extras:=.in)
systemdunitdir = $(unitdir)
nodist_systemdunit_DATA = $(units)
sysusersdir = $(prefix)/lib/sysusers.d
tmpfilesdir = $(prefix)/lib/tmpfiles.d

fill_paths = $(SED) -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@runstatedir[@]|$(runstatedir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' -e 's|@localstatedir[@]|$(localstatedir)|g' \
	-e 's|@qemu_user[@]|$(qemu_user)|g' -e 's|@qemu_group[@]|$(qemu_group)|g'
$(units) $(unit_extras): Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && $(fill_paths) $(srcdir)/$@.in >$@.new && mv $@.new $@
systemd/berthd.service: systemd/berthd.service.in
systemd/berthd.socket: systemd/berthd.socket.in
systemd/berthd-ro.socket: systemd/berthd-ro.socket.in
systemd/berthd-admin.socket: systemd/berthd-admin.socket.in
systemd/berthd-tcp.socket: systemd/berthd-tcp.socket.in
systemd/berthd-tls.socket: systemd/berthd-tls.socket.in
systemd/berthd.sysusers: systemd/berthd.sysusers.in
systemd/berthd.tmpfiles: systemd/berthd.tmpfiles.in
all-local: $(units) $(unit_extras)

install-data-local: install-unit-extras
.PHONY: install-unit-extras
install-unit-extras: $(unit_extras)
	$(MKDIR_P) $(DESTDIR)$(sysusersdir) $(DESTDIR)$(tmpfilesdir)
	$(INSTALL_DATA) systemd/berthd.sysusers $(DESTDIR)$(sysusersdir)/berthd.conf
	$(INSTALL_DATA) systemd/berthd.tmpfiles $(DESTDIR)$(tmpfilesdir)/berthd.conf
uninstall-local: uninstall-unit-extras
.PHONY: uninstall-unit-extras
uninstall-unit-extras:
	rm -f $(DESTDIR)$(sysusersdir)/berthd.conf $(DESTDIR)$(tmpfilesdir)/berthd.conf
