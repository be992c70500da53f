_rollcall_agent() {
	local candidates=
	case $COMP_CWORD in
	1) candidates="run status tell --help --version" ;;
	2) case ${COMP_WORDS[1]} in
		run) candidates="--once --help" ;;
		status) candidates="--help" ;;
		tell) candidates="--pam --help" ;;
		esac ;;
	esac
	COMPREPLY=($(compgen -W "$candidates" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _rollcall_agent rollcall-agent
