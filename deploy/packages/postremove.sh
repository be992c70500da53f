#!/bin/sh
# After NAME was removed. What it kept stays, but for Debian's purge.
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
if [ "$1" = purge ]; then
	rm -f /etc/systemd/system/multi-user.target.wants/NAME.service
	rm -rf /etc/NAME /var/lib/NAME
fi
