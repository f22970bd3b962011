/** The candle chart: loaded only when somebody looks at an instrument. */

import { CandlestickSeries, ColorType, createChart, type UTCTimestamp } from 'lightweight-charts'

import type { Candle } from '../protocol'

export interface CandlePlot {
  /** Replace all candles, oldest first. */
  show(candles: readonly Candle[]): void
  /** Change the last candle, or begin the next. */
  move(candle: Candle): void
  /** Take over the page's colours again. */
  restyle(): void
  remove(): void
}

const point = ([at, open, high, low, close]: Candle) => ({
  time: (at / 1_000) as UTCTimestamp,
  open,
  high,
  low,
  close,
})

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

  const scheme = matchMedia('(prefers-color-scheme: dark)')
  scheme.addEventListener('change', restyle)
  restyle()
  return {
    show(candles) {
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
