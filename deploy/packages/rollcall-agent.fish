complete -c rollcall-agent -f
complete -c rollcall-agent -n __fish_use_subcommand -a 'run status tell --help --version'
complete -c rollcall-agent -n '__fish_seen_subcommand_from run' -a '--once --help'
complete -c rollcall-agent -n '__fish_seen_subcommand_from status' -a '--help'
complete -c rollcall-agent -n '__fish_seen_subcommand_from tell' -a '--pam --help'
