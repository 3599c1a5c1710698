// Two SOAP services, played by the package `soap`: a CRM that is read in pages, and books that customers are written to.
// Both ask for a token passport (OAuth 1.0a in the SOAP header), whose nonce counts once. Plain HTTP below /control
// writes contacts and shows what there is. Usage: node soap.mjs; the first line printed is the port.
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

// The modules are in the folder that this is started in, not next to this file.
const soap = createRequire(`${process.cwd()}/`)('soap');

const PAGE = 10;
const KEYS = { account: '123', consumerKey: 'ck', token: 'tk' };
const SECRETS = 'cs&ts';
const contacts = new Map();
const customers = new Map();
const locators = new Map();
const nonces = new Set();

const fault = (code, text) => {
  throw { Fault: { faultcode: `soap:${code}`, faultstring: text } };
};

function checkPassport(headers) {
  const passport = headers?.tokenPassport;
  if (!passport) fault('Client', 'There is no token passport.');
  for (const [name, value] of Object.entries(KEYS)) {
    if (String(passport[name]) !== value) fault('Client', `The ${name} is unknown.`);
  }
  const { nonce, timestamp, signature } = passport;
  const text = [KEYS.account, KEYS.consumerKey, KEYS.token, nonce, timestamp].join('&');
  const wanted = createHmac('sha256', SECRETS).update(text).digest('base64');
  if (signature?.attributes?.algorithm !== 'HMAC-SHA256') fault('Client', 'The algorithm is unknown.');
  if (signature.$value !== wanted) fault('Client', 'The signature is wrong.');
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) fault('Client', 'The passport is too old.');
  if (nonces.has(nonce)) fault('Client', 'The nonce was used before.');
  nonces.add(nonce);
}

function page(found, after) {
  const records = found.slice(after, after + PAGE);
  const done = after + PAGE >= found.length;
  const result = { done };
  if (!done) {
    result.queryLocator = `q${locators.size}`;
    locators.set(result.queryLocator, [found, after + PAGE]);
  }
  return { result: { ...result, records } };
}

const service = {
  Contacts: {
    ContactsPort: {
      query({ since }, _, headers) {
        checkPassport(headers);
        if (Number.isNaN(Date.parse(since))) fault('Client', `${since} is not a time.`);
        const from = Date.parse(since);
        const found = [...contacts.values()].filter((each) => Date.parse(each.changed) >= from);
        // In no order at all, so a later page may have earlier changes.
        return page(found.map((each) => ({ ...each, at: Math.random() })).sort((a, b) => a.at - b.at).map(({ at, ...each }) => each), 0);
      },
      queryMore({ queryLocator }, _, headers) {
        checkPassport(headers);
        if (!locators.has(queryLocator)) fault('Client', `There is no locator ${queryLocator}.`);
        return page(...locators.get(queryLocator));
      },
      upsert({ record }, _, headers) {
        checkPassport(headers);
        const { externalId, lastName, email, inactive } = record ?? {};
        if (!externalId || !['true', 'false'].includes(String(inactive))) {
          return { status: { isSuccess: false, statusDetail: 'An externalId and inactive are required.' } };
        }
        customers.set(externalId, { lastName, email, inactive: String(inactive) === 'true' });
        return { status: { isSuccess: true } };
      },
    },
  },
};

const element = (name, members) =>
  `<x:element name="${name}"><x:complexType><x:sequence>${members}</x:sequence></x:complexType></x:element>`;
const member = (name, type = 'x:string', more = 'minOccurs="0"') => `<x:element name="${name}" type="${type}" ${more}/>`;
const type = (name, members) => `<x:complexType name="${name}"><x:sequence>${members}</x:sequence></x:complexType>`;
const OPERATIONS = ['query', 'queryMore', 'upsert'];
const each = (made) => OPERATIONS.map(made).join('');
const WSDL = `<definitions name="Contacts" targetNamespace="urn:contacts" xmlns="http://schemas.xmlsoap.org/wsdl/"
  xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:x="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:contacts">
  <types><x:schema targetNamespace="urn:contacts" elementFormDefault="qualified">
    ${type('Record', ['Id', 'LastName', 'Email', 'IsDeleted', 'changed'].map((name) => member(name)).join(''))}
    ${type('Result', member('done', 'x:boolean') + member('queryLocator') + member('records', 't:Record', 'minOccurs="0" maxOccurs="unbounded"'))}
    ${type('Customer', ['externalId', 'lastName', 'email', 'inactive'].map((name) => member(name)).join(''))}
    ${type('Status', member('isSuccess', 'x:boolean') + member('statusDetail'))}
    ${element('query', member('since'))}${element('queryResponse', member('result', 't:Result'))}
    ${element('queryMore', member('queryLocator'))}${element('queryMoreResponse', member('result', 't:Result'))}
    ${element('upsert', member('record', 't:Customer'))}${element('upsertResponse', member('status', 't:Status'))}
  </x:schema></types>
  ${each((name) => `<message name="${name}In"><part name="parameters" element="t:${name}"/></message>
  <message name="${name}Out"><part name="parameters" element="t:${name}Response"/></message>`)}
  <portType name="ContactsType">${each((name) => `<operation name="${name}"><input message="t:${name}In"/><output message="t:${name}Out"/></operation>`)}</portType>
  <binding name="ContactsBinding" type="t:ContactsType"><soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
  ${each((name) => `<operation name="${name}"><soap:operation soapAction="${name}"/><input><soap:body use="literal"/></input><output><soap:body use="literal"/></output></operation>`)}</binding>
  <service name="Contacts"><port name="ContactsPort" binding="t:ContactsBinding"><soap:address location="http://127.0.0.1/soap"/></port></service>
</definitions>`;

// The CRM counts whole seconds, so many contacts change at the same time.
const now = () => new Date(Math.floor(Date.now() / 1000) * 1000).toISOString();

function control(request, response) {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const where = request.url === '/control/customers' ? customers : contacts;
    if (request.method === 'POST') {
      for (const contact of JSON.parse(Buffer.concat(pieces))) contacts.set(contact.Id, { ...contact, changed: now() });
    }
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(Object.fromEntries(where)));
  });
}

const server = createServer((request, response) => {
  if (request.url.startsWith('/control/')) control(request, response);
  else response.writeHead(404).end();
});
server.listen(0, '127.0.0.1', () => {
  soap.listen(server, '/soap', service, WSDL, () => console.log(server.address().port));
});
