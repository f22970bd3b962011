const PAD = 1.5

/** The path of a line through `points`, as wide and as high as given; empty for fewer than two. */
export function pathOf(points: readonly number[], width: number, height: number): string {
  if (points.length < 2) return ''
  const low = Math.min(...points)
  const range = Math.max(...points) - low
  const step = (width - 2 * PAD) / (points.length - 1)
  return points
    .map((point, index) => {
      const y = range ? PAD + (1 - (point - low) / range) * (height - 2 * PAD) : height / 2
      return `${index ? 'L' : 'M'}${(PAD + index * step).toFixed(1)} ${y.toFixed(1)}`
    })
    .join('')
}

/** Which way `points` went on the whole: the name of the colour for it. */
export function directionOf(points: readonly number[]): 'up' | 'down' | 'even' {
  const change = (points.at(-1) ?? 0) - (points[0] ?? 0)
  return change > 0 ? 'up' : change < 0 ? 'down' : 'even'
}
