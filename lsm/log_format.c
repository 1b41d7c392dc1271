/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoding and checking of log headers and record headers. */
#include "lsm/log_format.h"

#include "base/assert.h"
#include "base/hash.h"
#include "lamina/db.h"

/* Field offsets of the file header. */
enum {
    HEADER_VERSION = 8,
    HEADER_SIZE = 12,
    HEADER_DB_ID = 16,
    HEADER_NUMBER = 32,
    HEADER_SALT = 40,
    HEADER_ZERO = 48,
    HEADER_CHECKSUM = 56,
};
/* Field offsets of a record. What is hashed begins at RECORD_HASHED and runs to the payload's end,
 * so a record that lies in one piece is hashed in one call. */
enum {
    RECORD_MARKER = 0,
    RECORD_CHECK = 4,
    RECORD_CHECKSUM = 8,
    RECORD_HASHED = 16,
    RECORD_LENGTH = 16,
    RECORD_DURABLE_END = 20,
    RECORD_SEQUENCE = 24,
    RECORD_DURABLE_UPTO = 32,
};

uint64_t log_header_encode(const struct log_identity *id, uint64_t salt, uint8_t *out) {
    LAM_ASSERT(id->db_id != NULL);
    memset(out, 0, LOG_HEADER_BYTES);
    memcpy(out, id->magic, 8);
    put_le32(out + HEADER_VERSION, LOG_VERSION);
    put_le32(out + HEADER_SIZE, LOG_HEADER_BYTES);
    memcpy(out + HEADER_DB_ID, id->db_id, 16);
    put_le64(out + HEADER_NUMBER, id->number);
    put_le64(out + HEADER_SALT, salt);
    uint64_t checksum = hash_xxh3(out, HEADER_CHECKSUM, 0);
    put_le64(out + HEADER_CHECKSUM, checksum);
    return checksum;
}

enum log_header_state log_header_decode(const struct log_identity *id, const uint8_t *in,
                                        uint64_t *seed_out) {
    uint64_t checksum = get_le64(in + HEADER_CHECKSUM);
    if (memcmp(in, id->magic, 8) != 0 || hash_xxh3(in, HEADER_CHECKSUM, 0) != checksum)
        return LOG_HEADER_BAD;
    if (get_le32(in + HEADER_VERSION) != LOG_VERSION)
        return LOG_HEADER_VERSION;
    if (get_le32(in + HEADER_SIZE) != LOG_HEADER_BYTES || get_le64(in + HEADER_ZERO) != 0 ||
        get_le64(in + HEADER_NUMBER) != id->number ||
        (id->db_id && memcmp(in + HEADER_DB_ID, id->db_id, 16) != 0))
        return LOG_HEADER_BAD;
    *seed_out = checksum;
    return LOG_HEADER_GOOD;
}

uint32_t log_marker(uint64_t seed) {
    return (uint32_t)hash_mix(seed, 0x6d61726bu) | 1;
}

/* All of a record's header but its checksum. Returns the record's seed. */
static uint64_t encode_fields(const struct log_record *record, uint64_t seed, uint8_t *out) {
    LAM_ASSERT(record->sequence <= LAM_SEQUENCE_MAX);
    LAM_ASSERT(record->durable_end <= record->offset);
    uint64_t own_seed = hash_mix(seed, record->offset);
    put_le32(out + RECORD_MARKER, log_marker(seed));
    put_le32(out + RECORD_LENGTH, record->length);
    put_le32(out + RECORD_DURABLE_END, record->durable_end);
    put_le64(out + RECORD_SEQUENCE, record->sequence);
    put_le64(out + RECORD_DURABLE_UPTO, record->durable_upto);
    put_le32(out + RECORD_CHECK,
             (uint32_t)hash_xxh3(out + RECORD_HASHED, LOG_RECORD_BYTES - RECORD_HASHED, own_seed));
    return own_seed;
}

void log_record_encode(struct log_record *record, uint64_t seed, struct lam_slice payload,
                       uint8_t *out) {
    LAM_ASSERT(payload.size == record->length);
    uint64_t own_seed = encode_fields(record, seed, out);
    record->checksum = hash_xxh3_pair(
        lam_slice_of(out + RECORD_HASHED, LOG_RECORD_BYTES - RECORD_HASHED), payload, own_seed);
    put_le64(out + RECORD_CHECKSUM, record->checksum);
}

void log_record_encode_in_place(struct log_record *record, uint64_t seed, uint8_t *out) {
    uint64_t own_seed = encode_fields(record, seed, out);
    size_t hashed = LOG_RECORD_BYTES - RECORD_HASHED + (size_t)record->length;
    record->checksum = hash_xxh3(out + RECORD_HASHED, hashed, own_seed);
    put_le64(out + RECORD_CHECKSUM, record->checksum);
}

bool log_record_decode(struct log_record *record, uint64_t seed, const uint8_t *in) {
    uint64_t own_seed = hash_mix(seed, record->offset);
    uint64_t check = hash_xxh3(in + RECORD_HASHED, LOG_RECORD_BYTES - RECORD_HASHED, own_seed);
    if (get_le32(in + RECORD_CHECK) != (uint32_t)check)
        return false;
    record->length = get_le32(in + RECORD_LENGTH);
    record->durable_end = get_le32(in + RECORD_DURABLE_END);
    record->sequence = get_le64(in + RECORD_SEQUENCE);
    record->durable_upto = get_le64(in + RECORD_DURABLE_UPTO);
    record->checksum = get_le64(in + RECORD_CHECKSUM);
    return record->sequence <= LAM_SEQUENCE_MAX && record->durable_end <= record->offset;
}

bool log_record_verify(const struct log_record *record, uint64_t seed, const uint8_t *in) {
    size_t hashed = LOG_RECORD_BYTES - RECORD_HASHED + (size_t)record->length;
    return hash_xxh3(in + RECORD_HASHED, hashed, hash_mix(seed, record->offset)) ==
           record->checksum;
}
