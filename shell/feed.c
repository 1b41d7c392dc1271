/* SPDX-License-Identifier: Apache-2.0
 *
 * Text in pieces to statements and dot commands. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "shell/shell.h"

#define READ_DEPTH_MAX 16
#define PIECE_BYTES    (64u << 10)

void feed_init(struct feed *f, struct shell *sh, const char *name) {
    *f = (struct feed){.shell = sh, .place = {.name = name, .line = 1, .column = 1}};
}

void feed_fini(struct feed *f) {
    text_fini(&f->pending);
}

bool feed_inside(const struct feed *f) {
    return f->split.content || f->split.state == SPLIT_BLOCK;
}

void feed_drop(struct feed *f) {
    text_reset(&f->pending);
    f->split = (struct splitter){0};
}

/* The statement of bytes [from, to) of what is pending. */
static bool run_statement(struct feed *f, size_t from, size_t to) {
    bool ok = shell_run(f->shell, f->pending.data + from, to - from, &f->place);
    place_advance(&f->place, f->pending.data + from, to - from);
    return ok && !f->shell->quit;
}

/* A dot command at `dot`; *end_out is after its line. False in *complete_out: more must come. */
static bool run_dot(struct feed *f, size_t from, size_t dot, bool last, size_t *end_out,
                    bool *complete_out) {
    const char *line = f->pending.data + dot;
    const char *eol = memchr(line, '\n', f->pending.size - dot);
    *complete_out = eol || last;
    if (!*complete_out)
        return true;
    size_t size = eol ? (size_t)(eol - line) : f->pending.size - dot;
    *end_out = dot + size + (eol != NULL);
    struct text copy = {0};
    text_add(&copy, line, size);
    bool ok = dot_run(f->shell, text_str(&copy));
    text_fini(&copy);
    place_advance(&f->place, f->pending.data + from, *end_out - from);
    return ok && !f->shell->quit;
}

static bool run_complete(struct feed *f, bool last) {
    size_t from = 0;
    bool ok = true, complete = true;
    while (ok && complete) {
        const char *text = f->pending.data ? f->pending.data + from : "";
        size_t size = f->pending.size - from;
        enum split_result found = split_scan(&f->split, text, size, last);
        if (found == SPLIT_MORE && !(last && f->split.content))
            break;
        size_t end = from + f->split.at;
        if (found == SPLIT_DOT)
            ok = run_dot(f, from, end, last, &end, &complete);
        else
            ok = run_statement(f, from, found == SPLIT_MORE ? f->pending.size : end);
        if (complete) {
            from = found == SPLIT_MORE ? f->pending.size : end;
            f->split = (struct splitter){0};
        }
    }
    text_cut(&f->pending, from);
    f->failed |= !ok && !f->shell->quit;
    return ok;
}

bool feed_add(struct feed *f, const char *data, size_t size) {
    text_add(&f->pending, data, size);
    return run_complete(f, false);
}

bool feed_finish(struct feed *f) {
    return run_complete(f, true);
}

bool feed_stream(struct shell *sh, int fd, const char *name) {
    struct feed f;
    char *piece = memory_resize(NULL, PIECE_BYTES);
    bool ok = true;
    ssize_t got = 1;
    feed_init(&f, sh, name);
    while (ok && !interrupt_seen()) {
        /* Whoever writes the next statement may wait for the answers to these. */
        fflush(stdout);
        got = read(fd, piece, PIECE_BYTES);
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        if (got > 0)
            ok = feed_add(&f, piece, (size_t)got);
    }
    if (got < 0 && errno != EINTR) {
        fprintf(stderr, "lamina: read %s: %s\n", name ? name : "standard input", strerror(errno));
        f.failed = true;
    } else if (ok && !interrupt_seen()) {
        feed_finish(&f);
    }
    free(piece);
    feed_fini(&f);
    return !f.failed;
}

bool feed_file(struct shell *sh, const char *path) {
    if (sh->read_depth == READ_DEPTH_MAX) {
        fprintf(stderr, "lamina: %s: files read files more than %d deep\n", path, READ_DEPTH_MAX);
        return false;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "lamina: open %s: %s\n", path, strerror(errno));
        return false;
    }
    sh->read_depth++;
    bool ok = feed_stream(sh, fd, path);
    sh->read_depth--;
    close(fd);
    return ok;
}
