#!/bin/sh
# After the package was removed. What its services kept stays, but for Debian's purge.
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
if [ "$1" = purge ]; then
	for name in NAMES; do
		rm -f "/etc/systemd/system/multi-user.target.wants/$name.service"
		rm -rf "/etc/$name" "/var/lib/$name"
	done
fi
