#!/bin/sh
# Before NAME is removed; not before an upgrade. Debian keeps whether it is enabled, until it is
# purged: it may be installed again.
set -e
if [ "$1" = remove ] || [ "$1" = 0 ]; then
	[ "$1" = remove ] || systemctl disable NAME.service
	[ ! -d /run/systemd/system ] || systemctl stop NAME.service
fi
