import { describe, expect, it } from 'vitest'

import { age, basisPoints, percent, price, spread } from './format'
import { sentenceFor } from './faults'
import { directionOf, pathOf } from './sparkline'

describe('numbers', () => {
  it.each([
    [67_000.1, 2, '67,000.10'],
    [0.15123, 5, '0.15123'],
    [998.999, 2, '999.00'],
    [-0.001, 2, '-0.00'],
    [null, 2, '–'],
  ])('shows the price %d with %d digits as %s', (value, decimals, text) => {
    expect(price(value, decimals)).toBe(text)
  })

  it.each([
    [1.256, '+1.26\u2009%'],
    [-3, '−3.00\u2009%'],
    [0.001, '0.00\u2009%'],
    [null, '–'],
  ])('shows the change %d as %s', (value, text) => {
    expect(percent(value)).toBe(text)
  })

  it('measures the spread in basis points, where there is one', () => {
    expect(spread(99, 101)).toBe(200)
    expect(spread(null, 101)).toBeNull()
    expect(spread(0, 0)).toBeNull()
    expect([basisPoints(0.5), basisPoints(50), basisPoints(500), basisPoints(null)]).toEqual(['0.50', '50.0', '500', '–'])
  })

  it.each([
    [-5, '0\u2009s'],
    [4_400, '4\u2009s'],
    [180_000, '3\u2009min'],
    [7_200_000, '2\u2009h'],
    [432_000_000, '5\u2009d'],
  ])('shows the age %d as %s', (duration, text) => {
    expect(age(duration)).toBe(text)
  })
})

describe('lines', () => {
  it('draws from left to right, high values high', () => {
    expect(pathOf([1, 2], 100, 20)).toBe('M1.5 18.5L98.5 1.5')
    expect(pathOf([3, 3], 100, 20)).toBe('M1.5 10.0L98.5 10.0')
    expect(pathOf([1], 100, 20)).toBe('')
    expect([directionOf([1, 2]), directionOf([2, 1]), directionOf([]), directionOf([2, 1, 2])]).toEqual([
      'up',
      'down',
      'even',
      'even',
    ])
  })
})

describe('what a reader is told about a refused request', () => {
  it.each([
    [{ code: 'unknown_action' }, 'This server does not offer candles.'],
    [{ code: 'unavailable' }, 'There are no candles for this instrument right now.'],
    [{ code: 'internal', message: 'oops' }, 'The server did not send candles: oops.'],
    [new Error('of the page'), 'The candles could not be shown.'],
  ])('makes a sentence of %j', (fault, sentence) => {
    expect(sentenceFor(fault, 'candles')).toBe(sentence)
  })
})
