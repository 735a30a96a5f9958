"""The scripts by which a shell asks `convarium --complete` what may stand next."""

BASH_SCRIPT = r"""_convarium() {
  local line="${COMP_LINE:0:$COMP_POINT}" cut reply
  local word="${line##* }"
  cut="${word%"${2-${word##*[=:]}}"}"  # what bash leaves as it stands: up to the last = or :, but within quotes
  cut="${cut#[\"\']}"
  COMPREPLY=()
  while IFS= read -r reply; do COMPREPLY+=("${reply#"$cut"}"); done < <(convarium --complete "$line" 2>/dev/null)
}
complete -o nospace -o default -F _convarium convarium
"""
ZSH_SCRIPT = r"""(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }
_convarium() {
  local -a whole open
  local reply line="${(j: :)words[1,CURRENT-1]} $PREFIX"  # of this command alone, where others stand before it
  for reply in "${(@f)$(convarium --complete "$line" 2>/dev/null)}"; do
    case "$reply" in
      "") ;;
      *" ") whole+=("${reply% }") ;;
      *) open+=("$reply") ;;
    esac
  done
  if (( $#whole + $#open == 0 )); then
    compset -P "*="
    _files
    return
  fi
  (( $#whole )) && compadd -U -S " " -a whole
  (( $#open )) && compadd -U -S "" -a open
  return 0
}
compdef _convarium convarium
"""
SCRIPTS = {"bash": BASH_SCRIPT, "zsh": ZSH_SCRIPT}
