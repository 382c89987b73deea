#!/bin/sh
# Installs what building and testing Berth needs, on bare Debian 12, as root.
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y --no-install-recommends \
    autoconf automake libtool pkg-config make gcc clang-14 libclang-rt-14-dev llvm libc6-dev rpcsvc-proto spin \
    libtirpc-dev libxml2-dev libgnutls28-dev libsasl2-dev libsystemd-dev libcap-ng-dev libglib2.0-dev libjansson-dev \
    libnl-route-3-dev libcmocka-dev \
    python3 python3-pytest python3-libvirt libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu \
    qemu-system-x86 qemu-utils seabios ipxe-qemu busybox-static cpio linux-image-cloud-amd64 iproute2 libxml2-utils systemd \
    virtinst libvirt-dbus dbus polkitd libglib2.0-bin libsys-virt-perl libvirt-clients-qemu gir1.2-libvirt-glib-1.0 python3-gi \
    openssh-server openssh-client netcat-openbsd \
    libpam-systemd passwd \
    libsasl2-modules libsasl2-modules-db libsasl2-modules-gssapi-mit sasl2-bin krb5-kdc krb5-admin-server krb5-user
