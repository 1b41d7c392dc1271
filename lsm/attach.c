/* SPDX-License-Identifier: Apache-2.0
 *
 * What the layers above keep per database. An object is made without the mutex held, since its
 * `open` uses the engine and may attach the layer below; other threads wait for it. */
#include "base/assert.h"
#include "lsm/db_impl.h"

static enum lam_code open_object(lam_db *db, const struct db_attachment *a, void **object_out,
                                 struct lam_error *err) {
    void *object = NULL;
    enum lam_code rc = a->open(db, &object, err);
    mutex_lock(&db->open);
    struct db_objects *o = db_objects(db);
    o->layers[a->layer].state = rc == LAM_OK ? DB_OBJECT_READY : DB_OBJECT_NONE;
    o->layers[a->layer].object = object;
    o->layers[a->layer].attachment = *a;
    cond_broadcast(&db->opened);
    mutex_unlock(&db->open);
    if (rc == LAM_OK)
        *object_out = object;
    return rc;
}

enum lam_code db_attach(lam_db *db, const struct db_attachment *attachment, void **object_out,
                        struct lam_error *err) {
    LAM_ASSERT(attachment->layer < DB_LAYER_COUNT && attachment->open && attachment->close);
    TRY(db_check_process(db, err));
    mutex_lock(&db->open);
    struct db_objects *o = db_objects(db);
    while (o->layers[attachment->layer].state == DB_OBJECT_OPENING) {
        /* A layer whose open attaches itself would wait for ever. */
        LAM_ASSERT(o->layers[attachment->layer].thread != thread_self());
        cond_wait(&db->opened, &db->open);
    }
    bool ready = o->layers[attachment->layer].state == DB_OBJECT_READY;
    if (ready) {
        *object_out = o->layers[attachment->layer].object;
    } else {
        o->layers[attachment->layer].state = DB_OBJECT_OPENING;
        o->layers[attachment->layer].thread = thread_self();
    }
    mutex_unlock(&db->open);
    return ready ? LAM_OK : open_object(db, attachment, object_out, err);
}

/* The layer's attachment and object; false if it has none. */
static bool attached(lam_db *db, int layer, struct db_attachment *a, void **object) {
    mutex_lock(&db->open);
    struct db_objects *o = db_objects(db);
    bool ready = o->layers[layer].state == DB_OBJECT_READY;
    *a = o->layers[layer].attachment;
    *object = o->layers[layer].object;
    mutex_unlock(&db->open);
    return ready;
}

enum lam_code attach_closing(lam_db *db, struct lam_error *err) {
    struct db_attachment a;
    void *object;
    for (int layer = DB_LAYER_COUNT - 1; layer >= 0; layer--)
        if (attached(db, layer, &a, &object) && a.closing)
            TRY(a.closing(object, err));
    return LAM_OK;
}

void attach_close(lam_db *db) {
    struct db_attachment a;
    void *object;
    for (int layer = DB_LAYER_COUNT - 1; layer >= 0; layer--) {
        if (!attached(db, layer, &a, &object))
            continue;
        a.close(object);
        mutex_lock(&db->open);
        db_objects(db)->layers[layer].state = DB_OBJECT_NONE;
        mutex_unlock(&db->open);
    }
}
