# Tab completion for `python -m src.train …` and `python -m src.evaluate …`. To switch it on, in the repository:
#
#   source src/completion.bash
#
# Hydra's own script knows `python script.py` only. Here Hydra is asked in the same way (`-sc query=bash`), and every
# other python command completes as before. zsh takes the script through bashcompinit (not tested).

_tandem_complete() {
    local line=${COMP_LINE:0:COMP_POINT} entry="" settings word choices
    case $line in
        *" -m src.train "*) entry=src.train ;;
        *" -m src.evaluate "*) entry=src.evaluate ;;
    esac
    if [[ -z $entry ]]; then
        [[ -z $_tandem_before ]] || "$_tandem_before" "$@"
        return
    fi
    settings=${line#*" -m $entry "}
    word=${line##* }
    choices=$(COMP_LINE="tandem $settings" "${COMP_WORDS[0]/#\~/$HOME}" -m "$entry" -sc query=bash 2>/dev/null)
    COMPREPLY=($(compgen -W "$choices" -- "$word"))
    # More is to be typed after `optimizer.` and `optimizer.lr=`.
    [[ ${COMPREPLY[0]} != *[.=/] ]] || compopt -o nospace 2>/dev/null
    # Where = parts words, the shell replaces only what stands behind it.
    if [[ $COMP_WORDBREAKS == *=* && $word == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*=}"}"}")
    fi
}

if [[ -n $ZSH_VERSION ]]; then
    autoload -U +X compinit bashcompinit && compinit && bashcompinit
fi
# bash-completion loads its rule for python at the first Tab, over this one: load it now and keep its function.
if declare -F _completion_loader >/dev/null; then _completion_loader python; fi
if [[ $(complete -p python 2>/dev/null) =~ -F\ ([^ ]+) && ${BASH_REMATCH[1]} != _tandem_complete ]]; then
    _tandem_before=${BASH_REMATCH[1]}
fi
complete -o bashdefault -o default -F _tandem_complete python python3
