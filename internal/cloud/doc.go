// Package cloud owns what clouds are told: whose credentials are used, how calls are signed,
// paced and repeated, and which rows of route tables are added, replaced and taken out so
// that the packets of networks reach their members.
//
// What the rows should be is given to it (ground.Cloud). It refuses to touch what is not
// flock's, logs in to no server, and stores, shows and logs no credentials.
package cloud
