# bash completion of @PROGRAM@
_@PROGRAM@_completion() {
    local how="" candidate
    COMPREPLY=()
    while IFS= read -r candidate; do
        if [[ -z $how ]]; then
            how=$candidate
        else
            COMPREPLY+=("$candidate")
        fi
    done < <(@CALLED@ _complete bash -- "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" "$COMP_TYPE" 2>/dev/null </dev/null)
    # readline quotes what has to be quoted in places, and shows their last part
    [[ $how == *places* ]] && compopt -o filenames 2>/dev/null
    [[ $how == *open* ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o nosort -F _@PROGRAM@_completion @PROGRAM@ 2>/dev/null || complete -F _@PROGRAM@_completion @PROGRAM@
