/** The candle chart: loaded only when somebody looks at an instrument. */

import { CandlestickSeries, ColorType, createChart, type UTCTimestamp } from 'lightweight-charts'

import { price } from '../format'
import type { Candle } from '../protocol'

const DAY = 86_400_000

export interface CandlePlot {
  /** Replace all candles, oldest first. */
  show(candles: readonly Candle[]): void
  /** Change the last candle, or begin the next. */
  move(candle: Candle): void
  /** Take over the page's colours again. */
  restyle(): void
  remove(): void
}

/** The chart reads no CSS variables: what one of them is now, as an rgb colour. */
function colour(element: HTMLElement, variable: string): string {
  const probe = document.createElement('span')
  probe.style.color = `var(${variable})`
  element.append(probe)
  const found = getComputedStyle(probe).color
  probe.remove()
  return found
}

/** Draw an empty chart that fills `element`; `decimals` are the price scale's. */
export function drawCandles(element: HTMLElement, decimals: number): CandlePlot {
  const chart = createChart(element, {
    autoSize: true,
    layout: { attributionLogo: true },
    timeScale: { timeVisible: true, secondsVisible: false },
    localization: { priceFormatter: (value: number) => price(value, decimals) },
    rightPriceScale: { borderVisible: false },
  })
  const series = chart.addSeries(CandlestickSeries, {
    borderVisible: false,
    priceFormat: { type: 'price', precision: decimals, minMove: 10 ** -decimals },
  })

  function restyle(): void {
    const [up, down, line] = [colour(element, '--up'), colour(element, '--down'), colour(element, '--line-soft')]
    chart.applyOptions({
      layout: {
        background: { type: ColorType.Solid, color: 'transparent' },
        textColor: colour(element, '--muted'),
        fontFamily: getComputedStyle(element).fontFamily,
      },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      timeScale: { borderColor: line },
    })
    series.applyOptions({ upColor: up, wickUpColor: up, downColor: down, wickDownColor: down })
  }

  /** The chart knows Greenwich's time only; candles of less than a day are moved to the time of this browser. */
  let shift = 0
  const point = ([at, open, high, low, close]: Candle) => ({
    time: ((at + shift) / 1_000) as UTCTimestamp,
    open,
    high,
    low,
    close,
  })

  const scheme = matchMedia('(prefers-color-scheme: dark)')
  scheme.addEventListener('change', restyle)
  restyle()
  return {
    show(candles) {
      const [first, second] = candles
      const isDaily = first && second && second[0] - first[0] >= DAY
      shift = isDaily ? 0 : -new Date().getTimezoneOffset() * 60_000
      series.setData(candles.map(point))
      chart.timeScale().setVisibleLogicalRange({ from: candles.length - 80, to: candles.length + 4 })
    },
    move(candle) {
      series.update(point(candle))
    },
    restyle,
    remove() {
      scheme.removeEventListener('change', restyle)
      chart.remove()
    },
  }
}
