/* SPDX-License-Identifier: Apache-2.0
 *
 * Delta debugging over a list of numbers. */
#include "tests/sim/shrink.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"

#define NAME_BYTES      64
#define ATTEMPT_SECONDS 60

void shrink_list_fini(struct shrink_list *l) {
    free(l->values);
    *l = (struct shrink_list){0};
}

static void child(const uint32_t *values, size_t count, shrink_run run, void *arg, int out) {
    struct choice c;
    char name[NAME_BYTES] = "";
    if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
        _exit(3);
    alarm(ATTEMPT_SECONDS);
    choice_list(&c, values, count);
    snprintf(name, sizeof name, "%s", run(arg, &c));
    _exit(write(out, name, sizeof name) == (ssize_t)sizeof name ? 0 : 3);
}

const char *shrink_try(const uint32_t *values, size_t count, shrink_run run, void *arg) {
    static char name[NAME_BYTES];
    int ends[2], status;
    LAM_ASSERT(pipe(ends) == 0);
    fflush(stdout);
    pid_t pid = fork();
    LAM_ASSERT(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        child(values, count, run, arg, ends[1]);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], name, sizeof name);
    close(ends[0]);
    LAM_ASSERT(waitpid(pid, &status, 0) == pid);
    if (got != (ssize_t)sizeof name)
        snprintf(name, sizeof name, "%s",
                 WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "timeout" : "abort");
    name[NAME_BYTES - 1] = 0;
    return name;
}

struct work {
    struct shrink_list *list;
    char check[NAME_BYTES];
    shrink_run run;
    void *arg;
    unsigned left;
    uint32_t *spare;
};

static bool still_fails(struct work *k, const uint32_t *values, size_t count) {
    if (k->left == 0)
        return false;
    k->left--;
    return strcmp(shrink_try(values, count, k->run, k->arg), k->check) == 0;
}

/* Leaves out runs of `size`, from the end. */
static bool drop_runs(struct work *k, size_t size) {
    bool better = false;
    struct shrink_list *l = k->list;
    for (size_t end = l->count; end > 0;) {
        size_t begin = end > size ? end - size : 0;
        memcpy(k->spare, l->values, begin * sizeof *l->values);
        memcpy(k->spare + begin, l->values + end, (l->count - end) * sizeof *l->values);
        size_t count = l->count - (end - begin);
        if (still_fails(k, k->spare, count)) {
            memcpy(l->values, k->spare, count * sizeof *l->values);
            l->count = count;
            better = true;
        }
        end = begin < l->count ? begin : l->count;
        if (begin == 0)
            break;
    }
    return better;
}

static bool lower_to(struct work *k, size_t at, uint32_t value) {
    struct shrink_list *l = k->list;
    uint32_t before = l->values[at];
    if (value >= before)
        return false;
    l->values[at] = value;
    if (still_fails(k, l->values, l->count))
        return true;
    l->values[at] = before;
    return false;
}

static bool lower_all(struct work *k) {
    bool better = false;
    for (size_t i = 0; i < k->list->count; i++) {
        if (lower_to(k, i, 0)) {
            better = true;
            continue;
        }
        while (lower_to(k, i, k->list->values[i] / 2) || lower_to(k, i, k->list->values[i] - 1))
            better = true;
    }
    return better;
}

void shrink(struct shrink_list *list, const char *check, shrink_run run, void *arg,
            unsigned attempts) {
    struct work k = {.list = list, .run = run, .arg = arg, .left = attempts};
    snprintf(k.check, sizeof k.check, "%s", check);
    k.spare = malloc((list->count + 1) * sizeof *k.spare);
    LAM_ASSERT(k.spare);
    for (bool better = true; better && k.left > 0;) {
        better = false;
        for (size_t size = list->count / 2 + 1; size > 0; size /= 2) {
            while (drop_runs(&k, size))
                better = true;
        }
        better = lower_all(&k) || better;
    }
    while (list->count > 0 && list->values[list->count - 1] == 0)
        list->count--;
    free(k.spare);
}

bool shrink_save(const char *path, const struct shrink_list *list, const char *about) {
    FILE *f = fopen(path, "w");
    if (!f)
        return false;
    fprintf(f, "# ");
    for (const char *at = about; *at; at++) {
        fputc(*at, f);
        if (*at == '\n')
            fprintf(f, "# ");
    }
    for (size_t i = 0; i < list->count; i++)
        fprintf(f, "%s%" PRIu32, i % 16 ? " " : "\n", list->values[i]);
    fprintf(f, "\n");
    return fclose(f) == 0;
}

bool shrink_load(const char *path, struct shrink_list *list) {
    FILE *f = fopen(path, "r");
    char word[64];
    size_t capacity = 0;
    *list = (struct shrink_list){0};
    if (!f)
        return false;
    while (fscanf(f, "%63s", word) == 1) {
        if (word[0] == '#') {
            for (int c; (c = fgetc(f)) != EOF && c != '\n';)
                ;
            continue;
        }
        if (list->count == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            list->values = realloc(list->values, capacity * sizeof *list->values);
            LAM_ASSERT(list->values);
        }
        list->values[list->count++] = (uint32_t)strtoul(word, NULL, 10);
    }
    return fclose(f) == 0;
}
