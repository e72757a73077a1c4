#!/usr/bin/env bash
# Depth of a film on a Slurm cluster, as four jobs that follow each other:
#
#     examples/farm/slurm.sh FILM OUT SHARDS [OPTION…]
#
# FILM and OUT are on a disk that all nodes have, the options those of depth_export. DEPTH_EXPORT names the program,
# SBATCH_… Slurm's own options (SBATCH_PARTITION, SBATCH_TIMELIMIT, …). Prints the number of the last job.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 FILM OUT SHARDS [OPTION…]" >&2
    exit 2
fi
film=$1 out=$2 shards=$3
shift 3
printf -v program '%q' "${DEPTH_EXPORT:-depth_export}"
printf -v arguments '%q ' "$film" "$out" "$@"

# The exit codes: 1 is worth another try, on another node perhaps; 2 is not.
# shellcheck disable=SC2016 # they are for the job's shell
again='code=$?; if [ $code = 1 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 3 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"; fi; exit $code'
part="srun $program $arguments--shard \$SLURM_ARRAY_TASK_ID/$shards || { $again; }"
printf -v merge '%s merge %q' "$program" "$out"

# submit NAME DEPENDENCY OPTION… COMMAND
submit() {
    local name=$1 after=$2
    shift 2
    # with the depth that is done, the time that is left is enough to end well
    sbatch --parsable --requeue --job-name "depth-$name" ${after:+--dependency "afterok:$after" --kill-on-invalid-dep yes} \
        "${@:1:$#-1}" --wrap "${*: -1}"
}
# with --range locked, the default, the film is played twice: first for the range of each shot
ranges=$(submit ranges '' --array "1-$shards" "$part")
shots=$(submit shots "$ranges" "$merge")
frames=$(submit frames "$shots" --array "1-$shards" "$part")
submit merge "$frames" "$merge"
