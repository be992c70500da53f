#compdef rollcall-agent
local -a candidates
case $CURRENT in
2) candidates=(run status tell --help --version) ;;
3) case $words[2] in
	run) candidates=(--once --help) ;;
	status) candidates=(--help) ;;
	tell) candidates=(--pam --help) ;;
	esac ;;
esac
compadd -a candidates
