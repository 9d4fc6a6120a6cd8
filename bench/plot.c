/* Plots where the shape is the point: a case with several sizes becomes one SVG a group, primary
 * metric over size, a line a subject with its spread. The gnuplot script, data inside, stays beside
 * the picture.
 */
#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "bench/bench.h"

extern char **environ;

/* Two points make a line. */
static bool has_line(const rpi_run *run, size_t group, size_t subject)
{
    size_t points = 0;

    for (size_t size = 0; size < run->size_count; size++) {
        points += rpi_spread_values(run, group, size, subject, 0).count > 0 ? 1 : 0;
    }
    return points > 1;
}

/* Sizes that begin with 0 cannot stand on a logarithmic axis. */
static bool is_logarithmic(const rpi_run *run)
{
    return run->subject_case->log_plot && run->sizes[0] > 0;
}

static void put_data(const rpi_run *run, size_t group, size_t subject, FILE *file)
{
    (void)fprintf(file, "$data%zu << EOD\n", subject);
    for (size_t size = 0; size < run->size_count; size++) {
        rpi_spread spread = rpi_spread_values(run, group, size, subject, 0);

        if (spread.count > 0) {
            (void)fprintf(file, "%zu %.9g %.9g %.9g\n", run->sizes[size], spread.median, spread.min,
                          spread.max);
        }
    }
    (void)fputs("EOD\n", file);
}

static void put_script(const rpi_run *run, size_t group, const char *svg_path, FILE *file)
{
    const rpi_case *c = run->subject_case;
    const char *separator = "plot";

    (void)fprintf(file, "set terminal svg size 800,500 background 'white'\nset output '%s'\n",
                  svg_path);
    (void)fprintf(file,
                  "set title '%s, %s' noenhanced\nset key outside right noenhanced\nset grid\n",
                  c->name, c->groups[group]);
    (void)fprintf(file, "set xlabel '%s'\nset ylabel '%s, %s' noenhanced\nset logscale y\n",
                  c->size_name, c->metrics[0].name, c->metrics[0].unit);
    if (is_logarithmic(run)) {
        (void)fputs("set logscale x\n", file);
    }
    for (size_t subject = 0; subject < c->subject_count; subject++) {
        if (has_line(run, group, subject)) {
            put_data(run, group, subject, file);
        }
    }
    for (size_t subject = 0; subject < c->subject_count; subject++) {
        if (has_line(run, group, subject)) {
            (void)fprintf(file, "%s $data%zu using 1:2:3:4 with yerrorlines title '%s'", separator,
                          subject, c->subjects[subject].name);
            separator = ",";
        }
    }
    (void)fputc('\n', file);
}

static int run_gnuplot(char *script_path)
{
    char name[] = "gnuplot";
    char *argv[] = {name, script_path, NULL};
    int status = 0;
    pid_t pid;
    int r = posix_spawnp(&pid, name, NULL, NULL, argv, environ);

    if (r != 0) {
        (void)fprintf(stderr, "rp-bench: gnuplot: %s; the script is %s\n", strerror(r),
                      script_path);
        return -r;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) {
        (void)fprintf(stderr, "rp-bench: gnuplot failed on %s\n", script_path);
        return RP_EIO;
    }
    return 0;
}

static int plot_group(const rpi_run *run, size_t group, const char *directory)
{
    const rpi_case *c = run->subject_case;
    char script_path[RPI_PATH_SIZE];
    char svg_path[RPI_PATH_SIZE];
    FILE *file;

    (void)snprintf(script_path, sizeof script_path, "%s/%s_%s.gp", directory, c->name,
                   c->groups[group]);
    (void)snprintf(svg_path, sizeof svg_path, "%s/%s_%s.svg", directory, c->name, c->groups[group]);
    file = fopen(script_path, "w");
    if (file == NULL) {
        (void)fprintf(stderr, "rp-bench: cannot write %s: %s\n", script_path, strerror(errno));
        return RP_EIO;
    }
    put_script(run, group, svg_path, file);
    if (fclose(file) != 0) {
        return RP_EIO;
    }
    return run_gnuplot(script_path);
}

int rpi_report_plots(const rpi_run *run, const char *directory)
{
    int r = 0;

    if (run->size_count < 2) {
        return 0; /* no shape to show */
    }
    for (size_t group = 0; group < run->subject_case->group_count && r == 0; group++) {
        for (size_t subject = 0; subject < run->subject_case->subject_count; subject++) {
            if (has_line(run, group, subject)) {
                r = plot_group(run, group, directory);
                break;
            }
        }
    }
    return r;
}
