// A round trip with the client that OpenAPI Generator's `typescript-fetch` makes, with URL and key.
import { Configuration, EndpointsApi, EventsApi, ProblemFromJSON, ResponseError, RoomsApi } from "./made";

declare const process: { argv: string[] };

function check(right: boolean, what: unknown): void {
  if (!right) throw new Error(JSON.stringify(what));
}

async function refused(wrong: Promise<unknown>, status: number): Promise<void> {
  try {
    await wrong;
  } catch (error) {
    if (!(error instanceof ResponseError)) throw error;
    const problem = ProblemFromJSON(await error.response.json());
    return check(problem.status === status && problem.code !== "", problem);
  }
  throw new Error(`not refused with ${status}`);
}

async function main(): Promise<void> {
  const [basePath, accessToken] = process.argv.slice(2);
  const configuration = new Configuration({ basePath, accessToken });
  const events = new EventsApi(configuration);
  const endpoints = new EndpointsApi(configuration);
  const rooms = new RoomsApi(configuration);

  const data = { id: "c3", price: 1234567.89 };
  const told = await events.publishEvent({ newEvent: { type: "cars.sold", data, subject: "c3" } });
  check((await events.getEvent({ event: told.id })).data?.price === data.price, told);
  console.log("published");
  const endpoint = await endpoints.createEndpoint({
    newEndpoint: { url: "http://127.0.0.1:9/trip", events: ["cars.*"], rate: 2.5 },
  });
  check(endpoint.rate === 2.5 && (await endpoints.listEndpoints({ limit: 1 })).data[0].id === endpoint.id, endpoint);
  console.log("registered");
  const room = await rooms.roomsCreate({ roomsNew: { name: "TypeScript, room", floor: 51, rent: 34567.89 } });
  check(room.rent === 34567.89 && room.kind === "flat" && room.revision === 1, room);
  const id = room.id!;
  console.log("created");
  const listed = await rooms.roomsList({ floorGte: 51, floorIn: [51, 52], nameStartsWith: "Ty", sort: ["-rent"] });
  check(listed.data.length === 1 && listed.data[0].id === id, listed);
  // A value with a comma is one value.
  const named = await rooms.roomsList({ nameIn: ["TypeScript, room", "Doe"] });
  check(named.data.length === 1 && named.data[0].id === id, named);
  console.log("listed");
  check((await rooms.roomsGet({ id })).name === "TypeScript, room", id);
  const edited = await rooms.roomsEdit({ id, roomsPatch: { floor: 53, rent: null } });
  check(edited.floor === 53 && edited.rent === null, edited);
  console.log("edited");
  await refused(rooms.roomsGet({ id: "nothing" }), 404);
  await refused(rooms.roomsEdit({ id, roomsPatch: { beside: "nothing" } }), 422);
  console.log("refused");
  await rooms.roomsDelete({ id });
  console.log("deleted");
}

void main();
