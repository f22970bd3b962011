// CloudFront function on viewer requests for /ws/*: leads the public addresses to the one stage of the WebSocket API,
// which has no paths of its own. The template carries this text and puts the stage's name into it.
const STREAMS = {
  '/ws/market/stream': 'market',
  '/ws/trading/signals/stream': 'signals',
  '/ws/trading/binary/stream': 'binary',
};

function handler(event) {
  const request = event.request;
  const stream = STREAMS[request.uri];
  if (!stream) {
    return { statusCode: 404, statusDescription: 'Not Found' };
  }
  request.uri = '/${StageName}';
  request.querystring.stream = { value: stream };
  return request;
}
