#!/bin/sh
# After the package was unpacked: for each service its user and its folder of settings.
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
for name in NAMES; do
	systemd-sysusers "$name.conf"
	# Files that are copied into this folder are of the service's group.
	install -d -m 2750 -g "$name" "/etc/$name"
	chgrp -R "$name" "/etc/$name"
	# Debian calls this with "configure" and the version before, RPM with the number of versions
	# that are installed.
	if [ "$1" = configure ] && [ -z "$2" ] || [ "$1" = 1 ]; then
		systemctl enable "$name.service"
	fi
	if [ -d /run/systemd/system ] && systemctl is-enabled --quiet "$name.service"; then
		systemctl restart "$name.service"
	fi
done
