/* SPDX-License-Identifier: Apache-2.0
 *
 * Users: records, passwords, roles.
 *
 * Passwords are kept as Argon2id (RFC 9106) in the encoded form of libargon2, with 19 MiB, two
 * passes, one lane and a random salt of 16 bytes. Verifying does the same work whether the user
 * exists, so that time tells nothing. Roles are asked for at every session and are cached. */
#include <argon2.h>

#include "base/utf8.h"
#include "catalog/catalog_impl.h"

#define PASSWORD_MIN   8
#define PASSWORD_MAX   1024
#define ARGON_PASSES   2
#define ARGON_KIB      (19u << 10)
#define ARGON_LANES    1
#define ARGON_SALT     16
#define ARGON_HASH     32
#define ARGON_TEXT_MAX 256

/* --- role cache --- */

void role_cache_init(struct role_cache *cache) {
    mutex_init(&cache->mu, RANK_REGISTRY);
}

static inline struct role_cache_guarded *cached(struct role_cache *cache) REQUIRES(cache->mu) {
    return &cache->guarded_;
}

/* Runs when nobody else can hold the catalog. */
void role_cache_fini(struct role_cache *cache) NO_THREAD_SAFETY {
    for (unsigned i = 0; i < ROLE_CACHE_SLOTS; i++)
        mem_free(cache->guarded_.slots[i].name);
    mutex_fini(&cache->mu);
}

static struct role_slot *slot_of(struct role_cache *cache, struct lam_slice name)
    REQUIRES(cache->mu) {
    return &cached(cache)->slots[hash_xxh3(name.data, name.size, 0) % ROLE_CACHE_SLOTS];
}

static bool cache_find(struct role_cache *cache, struct lam_slice name, enum lam_role *role_out,
                       uint64_t *version_out) {
    mutex_lock(&cache->mu);
    struct role_slot *slot = slot_of(cache, name);
    bool found = slot->name && slice_eq(lam_slice_of(slot->name, slot->name_size), name);
    if (found)
        *role_out = slot->role;
    *version_out = cached(cache)->version;
    mutex_unlock(&cache->mu);
    return found;
}

/* Keeps a role that was read while the cache had `version`; does nothing if a user changed since,
 * or if there is no memory. */
static void cache_keep(struct role_cache *cache, struct lam_slice name, enum lam_role role,
                       uint64_t version) {
    uint8_t *copy = mem_dup(name.data, name.size);
    uint8_t *unused = copy;
    mutex_lock(&cache->mu);
    struct role_slot *slot = slot_of(cache, name);
    if (copy && cached(cache)->version == version) {
        unused = slot->name;
        *slot = (struct role_slot){.name = copy, .name_size = name.size, .role = role};
    }
    mutex_unlock(&cache->mu);
    mem_free(unused);
}

static void cache_forget(struct role_cache *cache, struct lam_slice name) {
    mutex_lock(&cache->mu);
    struct role_slot *slot = slot_of(cache, name);
    uint8_t *unused = slot->name;
    *slot = (struct role_slot){0};
    cached(cache)->version++;
    mutex_unlock(&cache->mu);
    mem_free(unused);
}

/* --- passwords --- */

static enum lam_code check_password(struct lam_slice password, struct lam_error *err) {
    if (password.size < PASSWORD_MIN || password.size > PASSWORD_MAX)
        return ERR_SQL(err, "22023", 0, "a password has %d to %d bytes, not %zu", PASSWORD_MIN,
                       PASSWORD_MAX, password.size);
    return LAM_OK;
}

static enum lam_code argon_failed(int code, struct lam_error *err) {
    return ERR(err, code == ARGON2_MEMORY_ALLOCATION_ERROR ? LAM_NO_MEMORY : LAM_INVALID,
               "hashing a password: %s", argon2_error_message(code));
}

static enum lam_code hash_password(struct catalog *c, struct lam_slice password, char *out,
                                   struct lam_error *err) {
    uint8_t salt[ARGON_SALT];
    c->env->ops->random_bytes(c->env, salt, sizeof salt);
    int code =
        argon2id_hash_encoded(ARGON_PASSES, ARGON_KIB, ARGON_LANES, password.data, password.size,
                              salt, sizeof salt, ARGON_HASH, out, ARGON_TEXT_MAX);
    return code == ARGON2_OK ? LAM_OK : argon_failed(code, err);
}

/* --- records --- */

static int shown(struct lam_slice name) {
    return name.size > USER_ID_MAX ? USER_ID_MAX : (int)name.size;
}

static enum lam_code user_missing(struct lam_slice name, struct lam_error *err) {
    return ERR_SQL(err, "42704", 0, "user \"%.*s\" does not exist", shown(name), name.data);
}

static enum lam_role record_role(const struct value *record) {
    enum lam_role role = LAM_ROLE_ANONYMOUS;
    bool known = role_lookup(record[USERS_ROLE].as.bytes, &role);
    return known ? role : LAM_ROLE_ANONYMOUS;
}

/* Reads a user who is not dropped. NOT_FOUND. */
static enum lam_code get_user(struct catalog *c, struct lam_slice name, struct arena *arena,
                              struct value *record, struct lam_error *err) {
    struct value key = value_slice(name);
    TRY(entity_get(c->stores[ENTITY_USERS], NULL, &key, arena, record, err));
    if (!record[USERS_DELETED_AT].is_null)
        return ERR(err, LAM_NOT_FOUND, "user \"%.*s\" was dropped", shown(name), name.data);
    return LAM_OK;
}

static enum lam_code refuse_role(const struct actor *who, enum lam_role role,
                                 struct lam_error *err) {
    return access_denied(err, who->user, who->role, "touch or grant role %s, which is above his",
                         role_name(role));
}

/* --- create --- */

static enum lam_code check_spec(const struct actor *who, const struct user_spec *spec,
                                struct lam_error *err) {
    if (!access_may(who->role, ACTION_MANAGE_USER, TABLE_SYSTEM))
        return access_denied(err, who->user, who->role, "create users");
    if ((unsigned)spec->role > LAM_ROLE_SYSTEM)
        return ERR(err, LAM_INVALID, "there is no role %d", (int)spec->role);
    if (!access_may_touch_role(who->role, spec->role))
        return refuse_role(who, spec->role, err);
    TRY(user_id_check(spec->name, err));
    if (!utf8_valid(spec->email, NULL))
        return ERR_SQL(err, "22021", 0, "the email is not valid UTF-8");
    return spec->password.size ? check_password(spec->password, err) : LAM_OK;
}

static enum lam_code create_locked(struct catalog *c, const struct user_spec *spec,
                                   const char *password_hash, bool *created_out,
                                   struct lam_error *err) REQUIRES(c->ddl) {
    struct value record[ENTITY_FIELDS_MAX];
    struct arena arena = {0};
    struct lam_error ignored = {0};
    struct value key = value_slice(spec->name);
    struct entity_store *store = c->stores[ENTITY_USERS];
    enum lam_code rc = entity_get(store, NULL, &key, &arena, record, &ignored);
    bool dropped = rc == LAM_OK && !record[USERS_DELETED_AT].is_null;
    arena_fini(&arena);
    if (dropped)
        return ERR_SQL(err, "42710", 0, "user \"%.*s\" was dropped; his name stays reserved",
                       shown(spec->name), spec->name.data);
    if (rc == LAM_OK && spec->if_not_exists)
        return LAM_OK;
    if (rc == LAM_OK)
        return ERR_SQL(err, "42710", 0, "user \"%.*s\" exists already", shown(spec->name),
                       spec->name.data);
    if (rc != LAM_NOT_FOUND)
        return error_pass(err, rc, &ignored);
    int64_t now = env_now_us(c->env);
    entity_record_init(entity_definition(ENTITY_USERS), record);
    record[USERS_USER_ID] = key;
    record[USERS_USERNAME] = key;
    if (password_hash)
        record[USERS_PASSWORD_HASH] = value_text(password_hash);
    record[USERS_ROLE] = value_text(role_name(spec->role));
    if (spec->email.size)
        record[USERS_EMAIL] = value_slice(spec->email);
    record[USERS_AUTH_TYPE] = value_text(password_hash ? "password" : "internal");
    record[USERS_CREATED_AT] = value_timestamp(now);
    record[USERS_UPDATED_AT] = value_timestamp(now);
    TRY(entity_insert(store, record, LAM_DURABILITY_SYNC, err));
    cache_forget(&c->roles, spec->name);
    *created_out = true;
    return LAM_OK;
}

enum lam_code catalog_create_user(struct catalog *c, const struct actor *who,
                                  const struct user_spec *spec, bool *created_out,
                                  struct lam_error *err) {
    char hash[ARGON_TEXT_MAX];
    bool created = false;
    TRY(check_spec(who, spec, err));
    if (spec->password.size)
        TRY(hash_password(c, spec->password, hash, err));
    mutex_lock(&c->ddl);
    enum lam_code rc = create_locked(c, spec, spec->password.size ? hash : NULL, &created, err);
    mutex_unlock(&c->ddl);
    if (rc == LAM_OK && created_out)
        *created_out = created;
    return rc;
}

/* --- alter and drop --- */

static enum lam_code store_user(struct catalog *c, struct value *record, struct lam_error *err) {
    record[USERS_UPDATED_AT] = value_timestamp(env_now_us(c->env));
    TRY(entity_update(c->stores[ENTITY_USERS], record, LAM_DURABILITY_SYNC, err));
    cache_forget(&c->roles, record[USERS_USER_ID].as.bytes);
    return LAM_OK;
}

/* The record of a user whom `who` may touch. */
static enum lam_code get_touchable(struct catalog *c, const struct actor *who,
                                   struct lam_slice name, struct arena *arena, struct value *record,
                                   struct lam_error *err) {
    struct lam_error missing = {0};
    enum lam_code rc = get_user(c, name, arena, record, &missing);
    if (rc == LAM_NOT_FOUND)
        return user_missing(name, err);
    TRY(error_pass(err, rc, &missing));
    enum lam_role role = record_role(record);
    return access_may_touch_role(who->role, role) ? LAM_OK : refuse_role(who, role, err);
}

static enum lam_code alter_locked(struct catalog *c, const struct actor *who,
                                  enum user_change change, const struct user_spec *spec,
                                  const char *password_hash, struct lam_error *err)
    REQUIRES(c->ddl) {
    struct value record[ENTITY_FIELDS_MAX];
    OWNED(arena_fini) struct arena arena = {0};
    enum lam_code rc = get_touchable(c, who, spec->name, &arena, record, err);
    if (rc == LAM_OK) {
        switch (change) {
        case USER_SET_PASSWORD:
            record[USERS_PASSWORD_HASH] = value_text(password_hash);
            record[USERS_AUTH_TYPE] = value_text("password");
            break;
        case USER_SET_ROLE:
            record[USERS_ROLE] = value_text(role_name(spec->role));
            break;
        case USER_SET_EMAIL:
            record[USERS_EMAIL] =
                spec->email.size ? value_slice(spec->email) : value_null(coltype_of(LAM_TYPE_TEXT));
            break;
        }
        rc = store_user(c, record, err);
    }
    return rc;
}

enum lam_code catalog_alter_user(struct catalog *c, const struct actor *who,
                                 enum user_change change, const struct user_spec *spec,
                                 struct lam_error *err) {
    char hash[ARGON_TEXT_MAX];
    bool own_password = change == USER_SET_PASSWORD && who->role >= LAM_ROLE_USER &&
                        slice_eq(who->user, spec->name);
    if (!own_password && !access_may(who->role, ACTION_MANAGE_USER, TABLE_SYSTEM))
        return access_denied(err, who->user, who->role, "alter users");
    if (change == USER_SET_ROLE && (unsigned)spec->role > LAM_ROLE_SYSTEM)
        return ERR(err, LAM_INVALID, "there is no role %d", (int)spec->role);
    if (change == USER_SET_ROLE && !access_may_touch_role(who->role, spec->role))
        return refuse_role(who, spec->role, err);
    if (change == USER_SET_EMAIL && !utf8_valid(spec->email, NULL))
        return ERR_SQL(err, "22021", 0, "the email is not valid UTF-8");
    if (change == USER_SET_PASSWORD) {
        TRY(check_password(spec->password, err));
        TRY(hash_password(c, spec->password, hash, err));
    }
    mutex_lock(&c->ddl);
    enum lam_code rc = alter_locked(c, who, change, spec, hash, err);
    mutex_unlock(&c->ddl);
    return rc;
}

static enum lam_code drop_locked(struct catalog *c, const struct actor *who, struct lam_slice name,
                                 struct lam_error *err) REQUIRES(c->ddl) {
    struct value record[ENTITY_FIELDS_MAX];
    OWNED(arena_fini) struct arena arena = {0};
    enum lam_code rc = get_touchable(c, who, name, &arena, record, err);
    if (rc == LAM_OK) {
        record[USERS_DELETED_AT] = value_timestamp(env_now_us(c->env));
        rc = store_user(c, record, err);
    }
    return rc;
}

enum lam_code catalog_drop_user(struct catalog *c, const struct actor *who, struct lam_slice name,
                                bool if_exists, bool *dropped_out, struct lam_error *err) {
    struct lam_error missing = {0};
    if (!access_may(who->role, ACTION_MANAGE_USER, TABLE_SYSTEM))
        return access_denied(err, who->user, who->role, "drop users");
    mutex_lock(&c->ddl);
    enum lam_code rc = drop_locked(c, who, name, &missing);
    mutex_unlock(&c->ddl);
    bool absent = rc == LAM_SQL && strcmp(missing.sqlstate, "42704") == 0;
    if (rc != LAM_OK && !(absent && if_exists))
        return error_pass(err, rc, &missing);
    if (dropped_out)
        *dropped_out = rc == LAM_OK;
    return LAM_OK;
}

/* --- reading --- */

enum lam_code catalog_user_role(struct catalog *c, struct lam_slice name, enum lam_role *role_out,
                                struct lam_error *err) {
    struct value record[ENTITY_FIELDS_MAX];
    OWNED(arena_fini) struct arena arena = {0};
    uint64_t version = 0;
    if (cache_find(&c->roles, name, role_out, &version))
        return LAM_OK;
    enum lam_code rc = get_user(c, name, &arena, record, err);
    if (rc == LAM_OK) {
        *role_out = record_role(record);
        cache_keep(&c->roles, name, *role_out, version);
    } else if (rc == LAM_NOT_FOUND) {
        rc = ERR(err, LAM_NOT_FOUND, "user \"%.*s\" does not exist", shown(name), name.data);
    }
    return rc;
}

static enum lam_code refuse_login(struct lam_slice name, struct lam_error *err) {
    (void)ERR_SQL(err, "28P01", 0, "password authentication failed for user \"%.*s\"", shown(name),
                  name.data);
    if (err)
        err->code = LAM_DENIED;
    return LAM_DENIED;
}

/* As much work as a verification, for users that have no password or do not exist. */
static void waste_work(struct lam_slice password) {
    static const uint8_t salt[ARGON_SALT] = {1};
    uint8_t hash[ARGON_HASH];
    int code = argon2id_hash_raw(ARGON_PASSES, ARGON_KIB, ARGON_LANES, password.data, password.size,
                                 salt, sizeof salt, hash, sizeof hash);
    (void)code;
}

static void note_login(struct catalog *c, struct lam_slice name) {
    struct value record[ENTITY_FIELDS_MAX];
    struct arena arena = {0};
    if (db_is_read_only(c->db))
        return;
    mutex_lock(&c->ddl);
    if (get_user(c, name, &arena, record, NULL) == LAM_OK) {
        record[USERS_LAST_LOGIN_AT] = value_timestamp(env_now_us(c->env));
        IGNORE(entity_update(c->stores[ENTITY_USERS], record, LAM_DURABILITY_DEFAULT, NULL),
               "the password is right, whether the time of the login can be kept or not");
    }
    mutex_unlock(&c->ddl);
    arena_fini(&arena);
}

enum lam_code catalog_verify_password(struct catalog *c, struct lam_slice name,
                                      struct lam_slice password, struct lam_error *err) {
    struct value record[ENTITY_FIELDS_MAX];
    struct arena arena = {0};
    struct lam_error missing = {0};
    char hash[ARGON_TEXT_MAX];
    if (password.size > PASSWORD_MAX)
        return refuse_login(name, err);
    enum lam_code rc = get_user(c, name, &arena, record, &missing);
    bool has_hash = rc == LAM_OK && !record[USERS_PASSWORD_HASH].is_null &&
                    record[USERS_PASSWORD_HASH].as.bytes.size < sizeof hash;
    if (has_hash) {
        struct lam_slice stored = record[USERS_PASSWORD_HASH].as.bytes;
        memcpy(hash, stored.data, stored.size);
        hash[stored.size] = 0;
    }
    arena_fini(&arena);
    if (rc != LAM_OK && rc != LAM_NOT_FOUND)
        return error_pass(err, rc, &missing);
    if (!has_hash) {
        waste_work(password);
        return refuse_login(name, err);
    }
    int code = argon2id_verify(hash, password.data, password.size);
    if (code == ARGON2_MEMORY_ALLOCATION_ERROR)
        return argon_failed(code, err);
    if (code != ARGON2_OK)
        return refuse_login(name, err);
    note_login(c, name);
    return LAM_OK;
}
