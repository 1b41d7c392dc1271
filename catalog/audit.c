/* SPDX-License-Identifier: Apache-2.0
 *
 * Audit rows: who acted as whom, doing what to what. */
#include "catalog/catalog_impl.h"

enum lam_code catalog_audit(struct catalog *c, struct lam_slice actor, struct lam_slice subject,
                            const char *action, struct lam_slice target, struct lam_error *err) {
    struct value record[ENTITY_FIELDS_MAX];
    int64_t id = 0;
    TRY(catalog_next_id(c, &id, err));
    entity_record_init(entity_definition(ENTITY_AUDIT_LOG), record);
    record[AUDIT_LOG_AUDIT_ID] = value_i64(LAM_TYPE_BIGINT, id);
    record[AUDIT_LOG_TIMESTAMP] = value_timestamp(env_now_us(c->env));
    record[AUDIT_LOG_ACTOR] = value_slice(actor);
    if (subject.size)
        record[AUDIT_LOG_SUBJECT] = value_slice(subject);
    record[AUDIT_LOG_ACTION] = value_text(action);
    if (target.size)
        record[AUDIT_LOG_TARGET] = value_slice(target);
    return entity_insert(c->stores[ENTITY_AUDIT_LOG], record, LAM_DURABILITY_DEFAULT, err);
}
