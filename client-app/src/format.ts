/** Numbers and times as people in this browser's language read them. */

const DASH = '–'
const MINUS = '\u2212'
const formats = new Map<number, Intl.NumberFormat>()
const parts = new Intl.NumberFormat().formatToParts(0.5)
/** Empty where numbers are written with other digits than these. */
const point = parts[0]?.value === '0' ? (parts[1]?.value ?? '') : ''

function format(value: number, decimals: number): string {
  // Most prices need no separator of thousands; for them this is five times as fast as Intl.
  if (point && Math.abs(value) < 999) {
    const text = value.toFixed(decimals)
    return point === '.' ? text : text.replace('.', point)
  }
  let found = formats.get(decimals)
  if (!found) {
    found = new Intl.NumberFormat(undefined, { minimumFractionDigits: decimals, maximumFractionDigits: decimals })
    formats.set(decimals, found)
  }
  return found.format(value)
}

/** A price with its instrument's digits; a dash where the source has none. */
export const price = (value: number | null | undefined, decimals: number): string =>
  value == null ? DASH : format(value, decimals)

/** A number with two digits and a true minus. */
export const rating = (value: number): string => `${value < 0 ? MINUS : ''}${format(Math.abs(value), 2)}`

/** A change in per cent, always with its sign. */
export function percent(value: number | null | undefined, decimals = 2): string {
  if (value == null) return DASH
  const rounded = format(Math.abs(value), decimals)
  const isZero = !/[1-9]/.test(rounded)
  return `${isZero ? '' : value < 0 ? MINUS : '+'}${rounded}\u2009%`
}

/** A share in [0, 1] as whole per cent. */
export const share = (value: number | null | undefined): string =>
  value == null ? DASH : `${Math.round(value * 100)}\u2009%`

/** The distance of ask and bid in basis points of their middle; null where one is missing. */
export function spread(bid: number | null, ask: number | null): number | null {
  if (bid == null || ask == null || bid + ask <= 0) return null
  return ((ask - bid) / ((ask + bid) / 2)) * 10_000
}

export const basisPoints = (value: number | null): string =>
  value == null ? DASH : format(value, value < 10 ? 2 : value < 100 ? 1 : 0)

/** A duration in milliseconds, short: `4 s`, `3 min`, `2 h`, `5 d`. */
export function age(duration: number): string {
  const seconds = Math.max(0, Math.round(duration / 1_000))
  if (seconds < 90) return `${seconds}\u2009s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 90) return `${minutes}\u2009min`
  const hours = Math.round(minutes / 60)
  return hours < 48 ? `${hours}\u2009h` : `${Math.round(hours / 24)}\u2009d`
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const minutes = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

/** The time of day of an instant in epoch milliseconds. */
export const timeOfDay = (instant: number): string => clock.format(instant)

/** The minute nearest to an instant in epoch milliseconds: candles close a millisecond before it. */
export const hourAndMinute = (instant: number): string => minutes.format(Math.round(instant / 60_000) * 60_000)

/** Date and time of an instant in epoch milliseconds. */
export const dateAndTime = (instant: number): string => moment.format(instant)

/** Bytes as kilobytes with one digit. */
export const kilobytes = (bytes: number): string => `${format(bytes / 1_000, 1)}\u2009KB`
