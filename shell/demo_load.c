/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables and rows of the demo. */
#include <stdlib.h>

#include "shell/demo.h"

static int by_section(const void *a, const void *b) {
    return strcmp((*(const struct package *const *)a)->section,
                  (*(const struct package *const *)b)->section);
}

void demo_open(struct demo *d) {
    struct lam_error err = {0};
    demo_must(lam_db_open(d->directory, NULL, &d->db, &err), &err, "open database");
    demo_must(lam_session_open(d->db, "demo", LAM_ROLE_SYSTEM, &d->system, &err), &err,
              "open session");
}

void demo_close(struct demo *d) {
    struct lam_error err = {0};
    demo_close_session(d->system);
    demo_must(lam_db_close(d->db, &err), &err, "close database");
    d->db = NULL;
    d->system = NULL;
}

void demo_make_tables(struct demo *d) {
    static const char *const statements[] = {
        "CREATE NAMESPACE debian",
        "CREATE USER TABLE debian.packages (name TEXT PRIMARY KEY, version TEXT NOT NULL, section "
        "TEXT NOT NULL, architecture TEXT NOT NULL, installed_kb BIGINT, description TEXT)",
        "CREATE INDEX packages_section ON debian.packages (section)",
        "CREATE SHARED TABLE debian.sections (section TEXT PRIMARY KEY, packages BIGINT NOT NULL, "
        "kb BIGINT NOT NULL) WITH (access_level = 'public')",
        "CREATE USER TABLE debian.journal (id BIGINT PRIMARY KEY, note TEXT NOT NULL)",
    };
    size_t count = sizeof statements / sizeof statements[0];
    demo_begin(d, "Make a namespace, tables and an index");
    for (size_t i = 0; i < count; i++) {
        printf("   %s\n", statements[i]);
        demo_run(d->system, statements[i]);
    }
    demo_end(d, 0, "%zu statements", count);
}

static lam_stmt *prepare_insert(lam_session *s, size_t rows) {
    static char sql[INSERT_ROWS * 48 + 64];
    size_t at = (size_t)snprintf(sql, sizeof sql, "INSERT INTO debian.packages VALUES ");
    for (size_t r = 0; r < rows; r++)
        at += (size_t)snprintf(sql + at, sizeof sql - at, "%s($%zu,$%zu,$%zu,$%zu,$%zu,$%zu)",
                               r ? "," : "", 6 * r + 1, 6 * r + 2, 6 * r + 3, 6 * r + 4, 6 * r + 5,
                               6 * r + 6);
    return demo_prepare(s, sql);
}

static void bind_package(lam_stmt *stmt, uint32_t first, const struct package *p) {
    demo_bind_text(stmt, first, p->name);
    demo_bind_text(stmt, first + 1, p->version);
    demo_bind_text(stmt, first + 2, p->section);
    demo_bind_text(stmt, first + 3, p->architecture);
    demo_bind_int(stmt, first + 4, p->installed_kb);
    demo_bind_text(stmt, first + 5, p->description);
}

/* The rows of one user, by statements of INSERT_ROWS rows and one of the rest. */
static void load_owner(struct demo *d, const struct owner *o) {
    lam_session *s = demo_open_user(d, o->user);
    lam_stmt *stmt = NULL;
    size_t prepared = 0;
    for (size_t i = 0; i < o->count; i += prepared) {
        size_t rows = o->count - i < INSERT_ROWS ? o->count - i : INSERT_ROWS;
        if (rows != prepared) {
            lam_finalize(stmt);
            stmt = prepare_insert(s, rows);
            prepared = rows;
        }
        for (size_t r = 0; r < rows; r++)
            bind_package(stmt, (uint32_t)(6 * r + 1), &d->packages[o->first + i + r]);
        demo_step(stmt, "insert packages");
        if (lam_changes(stmt) != rows)
            demo_die("INSERT of %zu rows of %s says %llu", rows, o->user,
                     (unsigned long long)lam_changes(stmt));
        lam_reset(stmt);
    }
    lam_finalize(stmt);
    demo_close_session(s);
}

static void load_sections(struct demo *d) {
    struct package **sorted = demo_resize(NULL, d->package_count * sizeof *sorted);
    lam_stmt *stmt = demo_prepare(d->system, "INSERT INTO debian.sections VALUES ($1, $2, $3)");
    for (size_t i = 0; i < d->package_count; i++)
        sorted[i] = &d->packages[i];
    qsort(sorted, d->package_count, sizeof *sorted, by_section);
    for (size_t i = 0, next; i < d->package_count; i = next) {
        long long kb = 0;
        for (next = i;
             next < d->package_count && strcmp(sorted[i]->section, sorted[next]->section) == 0;
             next++)
            kb += sorted[next]->installed_kb;
        demo_bind_text(stmt, 1, sorted[i]->section);
        demo_bind_int(stmt, 2, (long long)(next - i));
        demo_bind_int(stmt, 3, kb);
        demo_step(stmt, "insert section");
        lam_reset(stmt);
        d->section_count++;
    }
    lam_finalize(stmt);
    free(sorted);
}

void demo_load_rows(struct demo *d) {
    double shown = demo_now();
    size_t done = 0;
    demo_begin(d, "Load by SQL, a session for each maintainer");
    for (size_t i = 0; i < d->owner_count; i++) {
        load_owner(d, &d->owners[i]);
        done += d->owners[i].count;
        demo_progress(done, d->package_count, &shown);
    }
    load_sections(d);
    demo_end(d, d->package_count + d->section_count, "%s rows of %s users, %zu shared rows",
             demo_grouped(d->package_count), demo_grouped(d->owner_count), d->section_count);
}

/* Each asked user deletes a tenth of his packages and inserts them again, so that hot rows stand
 * before cold ones and the answers stay what they were. */
void demo_rewrite_some(struct demo *d) {
    size_t rows = 0;
    demo_begin(d, "Delete and insert again some rows, hot over cold");
    for (size_t i = 0; i < demo_asked_users(d); i++) {
        const struct owner *o = &d->owners[i];
        lam_session *s = demo_open_user(d, o->user);
        lam_stmt *erase = demo_prepare(s, "DELETE FROM debian.packages WHERE name = $1");
        lam_stmt *insert = prepare_insert(s, 1);
        for (size_t k = 0; k < o->count; k += 10, rows++) {
            const struct package *p = &d->packages[o->first + k];
            demo_bind_text(erase, 1, p->name);
            demo_step(erase, "delete");
            if (lam_changes(erase) != 1)
                demo_die("DELETE of %s of %s says %llu", p->name, o->user,
                         (unsigned long long)lam_changes(erase));
            lam_reset(erase);
            bind_package(insert, 1, p);
            demo_step(insert, "insert again");
            lam_reset(insert);
        }
        lam_finalize(erase);
        lam_finalize(insert);
        demo_close_session(s);
    }
    demo_end(d, 2 * rows, "%s rows of %zu users", demo_grouped(rows), demo_asked_users(d));
}
