/* SPDX-License-Identifier: Apache-2.0
 *
 * Days and civil dates of the proleptic Gregorian calendar. The arithmetic counts years from March
 * in eras of 400 years (https://howardhinnant.github.io/date_algorithms.html). */
#include "base/assert.h"
#include "catalog/value.h"

#define ERA_DAYS     INT64_C(146097)
#define EPOCH_OFFSET INT64_C(719468) /* days from 0000-03-01 to 1970-01-01 */

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

int32_t date_from_civil(int year, int month, int day) {
    LAM_ASSERT(month >= 1 && month <= 12 && day >= 1 && day <= 31);
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int32_t)(era * ERA_DAYS + day_of_era - EPOCH_OFFSET);
}

void date_to_civil(int32_t days, struct civil *out) {
    int64_t z = days + EPOCH_OFFSET;
    int64_t era = floor_div(z, ERA_DAYS);
    int64_t doe = z - era * ERA_DAYS;
    int64_t year_of_era = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * doy + 2) / 153;
    *out = (struct civil){0};
    out->day = (int)(doy - (153 * month_from_march + 2) / 5 + 1);
    out->month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    out->year = (int)(year_of_era + era * 400 + (out->month <= 2));
}

int32_t timestamp_date(int64_t micros) {
    return (int32_t)floor_div(micros, DAY_MICROS);
}

int64_t timestamp_time(int64_t micros) {
    int64_t rest = micros % DAY_MICROS;
    return rest < 0 ? rest + DAY_MICROS : rest;
}

void timestamp_to_civil(int64_t micros, struct civil *out) {
    date_to_civil(timestamp_date(micros), out);
    int64_t time = timestamp_time(micros);
    out->micros = (int)(time % 1000000);
    time /= 1000000;
    out->second = (int)(time % 60);
    out->minute = (int)(time / 60 % 60);
    out->hour = (int)(time / 3600);
}

int64_t timestamp_from_civil(const struct civil *c) {
    int64_t seconds = (c->hour * INT64_C(60) + c->minute) * 60 + c->second;
    return date_from_civil(c->year, c->month, c->day) * DAY_MICROS + seconds * 1000000 + c->micros;
}

static int days_in_month(int year, int month) {
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

bool civil_valid(const struct civil *c) {
    return c->year >= 1 && c->year <= 9999 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
           c->day <= days_in_month(c->year, c->month) && c->hour >= 0 && c->hour <= 23 &&
           c->minute >= 0 && c->minute <= 59 && c->second >= 0 && c->second <= 59 &&
           c->micros >= 0 && c->micros <= 999999;
}
