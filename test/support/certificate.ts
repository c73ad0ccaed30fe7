/**
 * A certificate for `localhost` and 127.0.0.1 that signs itself, made anew in each process: `node:crypto` makes keys and
 * signatures, and the little of X.509 around them is here.
 */
import { generateKeyPairSync, sign } from "node:crypto"

/** One value of ASN.1, in DER. */
const der = (tag: number, ...parts: ReadonlyArray<Buffer>): Buffer => {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

const sequence = (...parts: ReadonlyArray<Buffer>) => der(0x30, ...parts)
const identifier = (hex: string) => der(0x06, Buffer.from(hex, "hex"))
const integer = (value: number) => der(0x02, Buffer.from([value]))
const bytes = (content: Buffer) => der(0x04, content)
const time = (text: string) => der(0x17, Buffer.from(text))

const ecdsaWithSha256 = sequence(identifier("2a8648ce3d040302"))
const commonName = sequence(der(0x31, sequence(identifier("550403"), der(0x0c, Buffer.from("localhost")))))
const alternativeNames = sequence(der(0x82, Buffer.from("localhost")), der(0x87, Buffer.from([127, 0, 0, 1])))

/** The key and certificate for a server, and the certificate as what its clients trust. */
export const makeCertificate = (): { readonly key: string; readonly cert: string; readonly ca: string } => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
  const version3 = der(0xa0, integer(2))
  const body = sequence(
    version3,
    integer(1),
    ecdsaWithSha256,
    commonName,
    sequence(time("200101000000Z"), time("491231235959Z")),
    commonName,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(sequence(identifier("551d11"), bytes(alternativeNames))))
  )
  const signature = der(0x03, Buffer.from([0]), sign("sha256", body, privateKey))
  const lines = sequence(body, ecdsaWithSha256, signature).toString("base64").replace(/.{64}/g, "$&\n")
  const cert = `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
  return { key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(), cert, ca: cert }
}
