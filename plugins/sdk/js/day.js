/** Dates as the contract has them: whole days since 1970-01-01, so that they compare and subtract as numbers do. */

const MILLISECONDS = 86_400_000;

/** The day of a date, or null where the calendar has no such date. Months count from 1. */
export function dayOf(year, month, day) {
  const moment = new Date(0);
  moment.setUTCFullYear(year, month - 1, day);
  const exists = moment.getUTCFullYear() === year && moment.getUTCMonth() === month - 1 && moment.getUTCDate() === day;
  return exists && year >= 1 && year <= 9999 ? Math.floor(moment.getTime() / MILLISECONDS) : null;
}

/** A day's date: `{ year, month, day, weekday }`, months from 1, Monday 1 to Sunday 7. */
export function dateOf(day) {
  const moment = new Date(day * MILLISECONDS);
  return {
    year: moment.getUTCFullYear(),
    month: moment.getUTCMonth() + 1,
    day: moment.getUTCDate(),
    weekday: moment.getUTCDay() || 7,
  };
}

/** The first day of the period that a day is in; weeks begin on Monday. A custom period's start is the mapper's. */
export function startOf(period, day) {
  const { year, month, weekday } = dateOf(day);
  switch (period) {
    case "single":
    case "daily":
      return day;
    case "weekly":
      return day - (weekday - 1);
    case "monthly":
      return dayOf(year, month, 1);
    case "quarterly":
      return dayOf(year, month - ((month - 1) % 3), 1);
    case "yearly":
      return dayOf(year, 1, 1);
    default:
      throw new TypeError(`the period \`${period}\` has no start of its own: give \`periodStart\``);
  }
}
