#!/bin/sh
# After NAME was unpacked: its user, its folder of settings, and the service.
set -e
systemd-sysusers NAME.conf
# Files that are copied into this folder are of the service's group.
install -d -m 2750 -g NAME /etc/NAME
chgrp -R NAME /etc/NAME
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
# Debian calls this with "configure" and the version before, RPM with the number of versions
# that are installed.
if [ "$1" = configure ] && [ -z "$2" ] || [ "$1" = 1 ]; then
	systemctl enable NAME.service
fi
if [ -d /run/systemd/system ] && systemctl is-enabled --quiet NAME.service; then
	systemctl restart NAME.service
fi
