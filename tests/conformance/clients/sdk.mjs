// The AWS SDK for JavaScript: arguments are the endpoint, the region and a connection's id. What it saw is printed.
import { createRequire } from "node:module";

const sdk = createRequire(`${process.cwd()}/`)("@aws-sdk/client-apigatewaymanagementapi");
const [endpoint, region, ConnectionId] = process.argv.slice(2);
const client = new sdk.ApiGatewayManagementApiClient({ endpoint, region });

const attempt = async (command) => {
  try {
    const { $metadata, ...answer } = await client.send(command);
    return { status: $metadata.httpStatusCode, ...answer };
  } catch (error) {
    return { status: error.$metadata?.httpStatusCode, error: error.name, message: error.message };
  }
};

const post = (Data, id = ConnectionId) => attempt(new sdk.PostToConnectionCommand({ ConnectionId: id, Data }));
console.log(
  JSON.stringify({
    post: await post("hello from JavaScript"),
    get: await attempt(new sdk.GetConnectionCommand({ ConnectionId })),
    large: await post("x".repeat(131_073)),
    malformed: await post("x", "nonsense"),
    delete: await attempt(new sdk.DeleteConnectionCommand({ ConnectionId })),
    gone: await post("too late"),
  }),
);
