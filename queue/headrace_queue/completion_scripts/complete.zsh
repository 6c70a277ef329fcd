#compdef @PROGRAM@
# zsh completion of @PROGRAM@
_@PROGRAM@_completion() {
    local line value about
    local -a whole whole_shown open open_shown
    for line in "${(@f)$(@CALLED@ _complete zsh -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null </dev/null)}"; do
        value=${line%%$'\t'*}
        about=${line#*$'\t'}
        [[ -z $value ]] && continue
        if [[ $value == *[/:=] ]]; then
            open+=("$value")
            open_shown+=("$value${about:+  -- $about}")
        else
            whole+=("$value")
            whole_shown+=("$value${about:+  -- $about}")
        fi
    done
    (( $#open )) && compadd -l -S '' -d open_shown -a open
    (( $#whole )) && compadd -l -d whole_shown -a whole
    return 0
}
compdef _@PROGRAM@_completion @PROGRAM@
